"""Prices: what the clouds' lists say, from a dated file that a user can replace."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from nnlite import places, records
from nnlite.errors import UsageError
from nnlite.protocol.records.spec import Rates, RunSpec
from nnlite.records import Amount, OneOf, Record, Unsound, fit

BUNDLED = Path(__file__).with_name("prices.json")
ARCHITECTURES = ("x86_64", "arm64")


@dataclass(frozen=True)
class Region:
    """What a price file says of a region, in USD."""

    lambda_gb_second_x86_64: Amount
    lambda_gb_second_arm64: Amount
    lambda_request: Amount
    s3_put_or_list: Amount
    s3_get: Amount
    s3_gb_month: Amount


@dataclass(frozen=True)
class PriceList:
    """A price file: when it was written down, and what it says of every region."""

    date: str
    regions: dict[str, Region]
    currency: Annotated[str, OneOf(("USD",))] = "USD"


ENTRIES = tuple(entry.name for entry in fields(Region))


@dataclass(frozen=True)
class Tariff(Record, what="a list of prices"):
    """Prices of one region and kind of processor, in USD, as the list said on `date`."""

    date: str
    region: str
    arch: Annotated[str, OneOf(ARCHITECTURES)]
    gb_s_usd: Amount
    invocation_usd: Amount
    read_usd: Amount  #: one request to the store that reads
    write_usd: Amount  #: one that writes
    gb_month_usd: Amount  #: of storage

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
    path = places.expanded(file) if file else BUNDLED
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"prices {path}: cannot be read: {error}", parameter="prices") from None
    return parse(text, region, arch, str(path))


def parse(text: str, region: str, arch: str, where: str) -> Tariff:
    """The prices of a region in the text of a price file. Raises UsageError for anything else."""
    if arch not in ARCHITECTURES:
        raise UsageError(f"no processor {arch!r}; there are {' and '.join(ARCHITECTURES)}")
    try:
        found = fit(PriceList, records.parse(text), partial=True, others=True)
    except Unsound as fault:
        raise UsageError(f"{where} is not a price file (wanted a date, and regions): {fault}") from None
    if region not in found.regions:
        raise UsageError(
            f"no prices for region {region!r} in {where} (of {found.date}); it has {', '.join(sorted(found.regions))}: "
            "add the region to a copy, and give that by prices=FILE"
        )
    of = found.regions[region]
    gb_second: float = getattr(of, f"lambda_gb_second_{arch}")
    return Tariff(found.date, region, arch, gb_second, of.lambda_request, of.s3_get, of.s3_put_or_list, of.s3_gb_month)


def stated(spec: RunSpec) -> Tariff | None:
    """The prices by which a run states its cost, if by any. Raises StoreError for what is none."""
    return Tariff.from_values(spec.tariff, f"the tariff of run {spec.run}") if spec.tariff is not None else None
