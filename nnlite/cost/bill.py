"""The bill: usage times prices, broken down."""

from __future__ import annotations

from dataclasses import dataclass

from nnlite.cost.prices import Tariff
from nnlite.protocol.records.usage import Usage
from nnlite.quantities import dollars

MONTH_S = 30 * 86_400
PARTS = ("compute", "waiting", "merging", "start-up", "requests", "storage")


@dataclass(frozen=True)
class Cost:
    """GB-seconds and USD of a run; `usd` has all six PARTS, `gb_s` the first four, which are paid by time."""

    gb_s: dict[str, float]
    usd: dict[str, float]
    memory_mb: float
    date: str | None  #: of the price list; None where nothing is charged

    @property
    def total_gb_s(self) -> float:
        """All of it."""
        return sum(self.gb_s.values())

    @property
    def total_usd(self) -> float:
        """All of it."""
        return sum(self.usd.values())

    def breakdown(self) -> str:
        """The parts that are not nothing, the largest first, in per cent: of the money; without any, of GB-seconds."""
        parts = self.usd if self.total_usd else self.gb_s
        whole = sum(parts.values())
        shown = [(part, 100 * value / whole) for part, value in parts.items() if whole and value >= 0.005 * whole]
        return ", ".join(f"{part} {percent:.0f} %" for part, percent in sorted(shown, key=lambda item: -item[1]))

    def __str__(self) -> str:
        money = f"{dollars(self.total_usd)} at list prices of {self.date}" if self.date else "$0: nobody sends a bill"
        return f"{self.total_gb_s:,.2f} GB-seconds at {self.memory_mb:,.0f} MB, {money} ({self.breakdown()})"

    def values(self) -> dict[str, object]:
        """For JSON."""
        return {
            "gb_s": round(self.total_gb_s, 6),
            "usd": round(self.total_usd, 9),
            "memory_mb": round(self.memory_mb, 1),
            "prices_date": self.date,
            "gb_s_by_part": {part: round(value, 6) for part, value in self.gb_s.items()},
            "usd_by_part": {part: round(value, 9) for part, value in self.usd.items()},
        }


def cost(usage: Usage, memory_mb: float, tariff: Tariff | None) -> Cost:
    """What `usage` costs on functions of `memory_mb`; without a tariff, nothing.

    All that was written is counted as lying in the store as long as the longest worker was at it, so storage is an
    upper bound (of very little).
    """
    gb = memory_mb / 1024
    seconds = {
        "compute": usage.compute_s,
        "waiting": usage.waiting_s,
        "merging": usage.merge_s,
        "start-up": usage.init_s,
    }
    gb_s = {part: value * gb for part, value in seconds.items()}
    usd = dict.fromkeys(PARTS, 0.0)
    if tariff is not None:
        usd.update({part: value * tariff.gb_s_usd for part, value in gb_s.items()})
        requests = usage.num_reads * tariff.read_usd + usage.num_writes * tariff.write_usd
        usd["requests"] = requests + usage.num_invocations * tariff.invocation_usd
        usd["storage"] = usage.written_bytes / 1e9 * usage.age_s / MONTH_S * tariff.gb_month_usd
    return Cost(gb_s, usd, memory_mb, tariff.date if tariff else None)
