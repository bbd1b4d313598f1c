"""List prices of Lambda and S3, as numbers by which a run counts what it spends."""

from __future__ import annotations

GB_SECOND_USD = {"x86_64": 0.0000166667, "arm64": 0.0000133334}  #: us-east-1; most regions are within 20 %
INVOCATION_USD = 0.20 / 1e6
READ_USD, WRITE_USD = 0.0004 / 1e3, 0.005 / 1e3  #: S3: a GET, a PUT


def rates_for(architecture: str, memory_mb: int, store: str) -> dict[str, float]:
    """The entries of `Rates` for a function of so much memory and the store at this URL."""
    is_s3 = store.startswith("s3://")
    return {
        "worker_second_usd": GB_SECOND_USD[architecture] * memory_mb / 1024,
        "invocation_usd": INVOCATION_USD,
        "read_usd": READ_USD if is_s3 else 0.0,
        "write_usd": WRITE_USD if is_s3 else 0.0,
    }
