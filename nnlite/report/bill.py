"""The bill: what a run has used, at the list prices of its specification."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from nnlite.report.axes import spell_usd
from nnlite.report.sections import table
from nnlite.report.tables import Report


@dataclass(frozen=True)
class Item:
    """A line of the bill."""

    what: str
    quantity: float
    unit: str
    usd: float


def items(report: Report) -> list[Item]:
    """What is paid for. The time that a worker is billed for begins a little before it can see it."""
    rates, asked, num_invocations = report.spec.rates, report.requests, sum(report.record.attempts.values())
    seconds = report.worker_s
    memory = f" of {rates.memory_mb:,} MB" if rates.memory_mb else ""
    return [
        Item(f"workers{memory}", seconds, "s", seconds * rates.worker_second_usd),
        Item("invocations", num_invocations, "", num_invocations * rates.invocation_usd),
        Item("store, reads", asked["reads"], "requests", asked["reads"] * rates.read_usd),
        Item("store, writes", asked["writes"], "requests", asked["writes"] * rates.write_usd),
    ]


def total_usd(report: Report) -> float:
    """The sum of the bill."""
    return sum(item.usd for item in items(report))


def section(report: Report) -> str:
    """The bill as a piece of the page."""
    rates, total = report.spec.rates, total_usd(report)
    if not total:
        where = "on this machine" if rates.platform == "local" else f"on {rates.platform}"
        return f"<h2>Cost</h2><p>The run ran {escape(where)}, without a price for anything: nobody sends a bill.</p>"
    rows = [
        [escape(item.what), f"{item.quantity:,.0f} {item.unit}", spell_usd(item.usd), f"{item.usd / total:.1%}"]
        for item in items(report)
    ]
    rows.append(["<b>together</b>", "", f"<b>{spell_usd(total)}</b>", ""])
    said = [f"What the traces show, at list prices of {escape(rates.platform)}."]
    if report.record.spent_usd:
        said.append(f"While it went on, the run counted {spell_usd(report.record.spent_usd)}.")
    if report.spec.budget_usd is not None:
        said.append(f"The budget was {spell_usd(report.spec.budget_usd)}.")
    return f"<h2>Cost</h2><p>{' '.join(said)}</p>{table(('', 'used', 'USD', 'share'), rows)}"
