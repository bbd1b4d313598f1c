"""The bill: what the processes of a run wrote down that they used, at the list prices that its specification names."""

from __future__ import annotations

from nnlite.quantities import dollars, size
from nnlite.report.markup import Html, html, table
from nnlite.report.tables import Report


def tile(report: Report) -> list[tuple[str, str]]:
    """(what, value) for the head of a page; nothing where there is no price."""
    account = report.record.account
    usd = account.cost.total_usd
    return [("at list prices" if account.is_paid else "list price on AWS Lambda", dollars(usd))] if usd else []


def section(report: Report) -> str:
    """The bill as a piece of the page."""
    if not report.record.account.leases:
        return ""
    found = report.record.account.cost
    rows = [
        [part, _gb_s(found.gb_s[part]) if part in found.gb_s else "", dollars(usd), _share(usd, found.total_usd)]
        for part, usd in sorted(found.usd.items(), key=lambda item: -item[1])
        if usd or found.gb_s.get(part)
    ]
    rows.append([*map(_bold, ("together", _gb_s(found.total_gb_s), dollars(found.total_usd))), ""])
    return f"<h2>Cost</h2><p>{html(' '.join(_sentences(report)))}</p>{table(('', 'GB-seconds', 'USD', 'share'), rows)}"


def _sentences(report: Report) -> list[str]:
    spec, account = report.spec, report.record.account
    used = account.used
    memory = f"{account.memory_mb:,.0f} MB" + ("" if spec.rates.memory_mb else ", the most that a process needed")
    said = [
        f"{used.num_invocations:,} processes ran for {used.seconds:,.1f} s at {memory}; they read {used.num_reads:,} "
        f"and wrote {used.num_writes:,} objects ({size(used.written_bytes)})."
    ]
    if account.unseen_s:
        said.append(f"Those that died may have run for up to {account.unseen_s:,.1f} s more, unseen.")
    if spec.budget_usd is not None:
        said.append(f"The budget was {dollars(spec.budget_usd)}.")
    if account.tariff is None:
        return [*said, "The run names no list of prices."]
    tariff = account.tariff
    listed = f"AWS Lambda's list prices of {tariff.date} ({tariff.region}, {tariff.arch})"
    said.append(f"At {listed}:" if account.is_paid else f"Nobody sends a bill; at {listed} it would have been:")
    return said


def _gb_s(value: float) -> str:
    return f"{value:,.3f}"


def _share(usd: float, total: float) -> str:
    return f"{usd / total:.1%}" if total else ""


def _bold(text: str) -> Html:
    return Html(f"<b>{html(text)}</b>")
