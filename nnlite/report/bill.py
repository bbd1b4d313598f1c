"""The bill: what a run has used, at the list prices of its specification."""

from __future__ import annotations

from dataclasses import dataclass

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
