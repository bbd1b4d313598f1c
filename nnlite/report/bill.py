"""The bill: what the processes of a run wrote down that they used, at the list prices that its specification names."""

from __future__ import annotations

from nnlite.cost.bill import Cost, cost
from nnlite.cost.prices import stated
from nnlite.report.axes import spell_bytes, spell_usd
from nnlite.report.sections import table
from nnlite.report.tables import Report


def of(report: Report) -> Cost:
    """What the run cost, or would have cost where nobody sends a bill: as `tools.train` says at its end."""
    spec, used = report.spec, report.record.used
    return cost(used, spec.rates.memory_mb or used.peak_mb, stated(spec), report.seconds)


def is_paid(report: Report) -> bool:
    """Whether somebody sends a bill, or the run is counted as if (`--memory-mb`)."""
    return bool(report.spec.rates.worker_second_usd or report.spec.rates.memory_mb)


def tile(report: Report) -> list[tuple[str, str]]:
    """(what, value) for the head of a page; nothing where there is no price."""
    usd = of(report).total_usd
    return [("at list prices" if is_paid(report) else "list price on AWS Lambda", spell_usd(usd))] if usd else []


def values(report: Report) -> dict[str, object]:
    """For JSON, as `tools.train` tells it."""
    return of(report).values_of_run(report.record.used, is_paid(report))


def section(report: Report) -> str:
    """The bill as a piece of the page."""
    if not report.record.used.num_invocations:
        return ""
    found = of(report)
    rows = [
        [part, _gb_s(found.gb_s[part]) if part in found.gb_s else "", spell_usd(usd), _share(usd, found.total_usd)]
        for part, usd in sorted(found.usd.items(), key=lambda item: -item[1])
        if usd or found.gb_s.get(part)
    ]
    rows.append(["<b>together</b>", f"<b>{_gb_s(found.total_gb_s)}</b>", f"<b>{spell_usd(found.total_usd)}</b>", ""])
    return f"<h2>Cost</h2><p>{' '.join(_sentences(report, found))}</p>{table(('', 'GB-seconds', 'USD', 'share'), rows)}"


def _sentences(report: Report, found: Cost) -> list[str]:
    spec, used = report.spec, report.record.used
    memory = f"{found.memory_mb:,.0f} MB" + ("" if spec.rates.memory_mb else ", the most that a process needed")
    said = [
        f"{used.num_invocations:,} processes ran for {used.seconds:,.1f} s at {memory}; they read {used.num_reads:,} "
        f"and wrote {used.num_writes:,} objects ({spell_bytes(used.written_bytes)})."
    ]
    tariff = stated(spec)
    if tariff is None:
        return [*said, "The run names no list of prices."]
    listed = f"AWS Lambda's list prices of {found.date} ({tariff.region}, {tariff.arch})"
    said.append(f"At {listed}:" if is_paid(report) else f"Nobody sends a bill; at {listed} it would have been:")
    if report.record.spent_usd:
        said.insert(1, f"Its leases, up to their last beats, say {spell_usd(report.record.spent_usd)}.")
    if spec.budget_usd is not None:
        said.insert(1, f"The budget was {spell_usd(spec.budget_usd)}.")
    return said


def _gb_s(value: float) -> str:
    return f"{value:,.3f}"


def _share(usd: float, total: float) -> str:
    return f"{usd / total:.1%}" if total else ""
