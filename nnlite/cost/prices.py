"""Prices: what the clouds' lists say, from a dated file that a user can replace."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from nnlite.errors import UsageError
from nnlite.protocol.spec import Rates

BUNDLED = Path(__file__).with_name("prices.json")
ARCHITECTURES = ("x86_64", "arm64")
ENTRIES = (
    "lambda_gb_second_x86_64",
    "lambda_gb_second_arm64",
    "lambda_request",
    "s3_put_or_list",
    "s3_get",
    "s3_gb_month",
)


@dataclass(frozen=True)
class Tariff:
    """Prices of one region and kind of processor, in USD, as the list said on `date`."""

    date: str
    region: str
    arch: str
    gb_s_usd: float
    invocation_usd: float
    read_usd: float  #: one request to the store that reads
    write_usd: float  #: one that writes
    gb_month_usd: float  #: of storage

    def of_store(self, url: str) -> Tariff:
        """The same, for a run whose store is at `url`: only S3 charges for requests and storage."""
        if url.startswith("s3://"):
            return self
        return Tariff(self.date, self.region, self.arch, self.gb_s_usd, self.invocation_usd, 0.0, 0.0, 0.0)

    def rates(self, memory_mb: int) -> Rates:
        """What a run on AWS Lambda counts by."""
        per_second = self.gb_s_usd * memory_mb / 1024
        return Rates("lambda", memory_mb, per_second, self.invocation_usd, self.read_usd, self.write_usd)


def tariff(region: str, arch: str = "x86_64", file: str | Path | None = None) -> Tariff:
    """The prices of a region, from the bundled file or the user's own. Raises UsageError: no such file or region."""
    path = Path(file) if file else BUNDLED
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prices {path}: cannot be read: {error}") from None
    return parse(text, region, arch, str(path))


def parse(text: str, region: str, arch: str, where: str) -> Tariff:
    """The prices of a region in the text of a price file. Raises UsageError for anything else."""
    if arch not in ARCHITECTURES:
        raise UsageError(f"no processor {arch!r}; there are {' and '.join(ARCHITECTURES)}")
    try:
        values = json.loads(text)
        date, regions = str(values["date"]), values["regions"]
        known = sorted(regions)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{where} is not a price file (wanted a date, and regions): {error!r}") from None
    if region not in regions:
        raise UsageError(
            f"no prices for region {region!r} in {where} (of {date}); it has {', '.join(known)}: add the region to "
            "a copy, and give that by --prices FILE"
        )
    of = {name: _price(regions[region], name, f"{where}, {region}") for name in ENTRIES}
    return Tariff(
        date,
        region,
        arch,
        of[f"lambda_gb_second_{arch}"],
        of["lambda_request"],
        of["s3_get"],
        of["s3_put_or_list"],
        of["s3_gb_month"],
    )


def _price(entries: Any, name: str, where: str) -> float:
    value = entries.get(name) if isinstance(entries, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (isfinite(value) and value >= 0):
        raise UsageError(f"{where}: {name} is {value!r}, wanted a price in USD, 0 or more")
    return float(value)


def rates(
    platform: str,
    region: str,
    arch: str = "x86_64",
    memory_mb: int = 0,
    file: str | Path | None = None,
    store: str = "s3://",
) -> Rates:
    """What a run on a platform counts by, with its weights in `store` (a URL). Only AWS Lambda sends bills."""
    if platform != "lambda":
        return Rates(platform, memory_mb)
    of = tariff(region, arch, file)
    return replace(of.of_store(store).rates(memory_mb), apart_read_usd=of.read_usd, apart_write_usd=of.write_usd)
