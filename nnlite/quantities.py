"""Quantities: how dollars, durations and sizes are written for people, and how much memory comes with a core."""

from __future__ import annotations

ONE_CORE_MB = 1769  #: a function of AWS Lambda with so much memory has one whole core


def duration(seconds: float) -> str:
    """A duration for people: 31 ms, 12.3 s, 4 min 5 s, 2 h 10 min."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest_s} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(num_bytes: float) -> str:
    """A number of bytes for people."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes:.0f} bytes"


def dollars(usd: float) -> str:
    """With as many digits as say something: $12.34, $0.0123, $0.0000042."""
    if usd == 0 or usd >= 1:
        return f"${usd:,.2f}"
    digits = 2
    while digits < 10 and usd * 10 ** (digits - 2) < 1:
        digits += 1
    return f"${usd:.{digits}f}"
