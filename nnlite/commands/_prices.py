"""Prices: the options of every command that counts money, and the tariff that they name."""

from __future__ import annotations

import argparse
from typing import Any

from nnlite.commands import _named
from nnlite.cost import prices
from nnlite.cost.prices import Tariff

DEFAULT_REGION, DEFAULT_ARCH = "us-east-1", "x86_64"


def add_options(group: Any) -> None:
    """--region, --arch, --prices."""
    group.add_argument("--region", metavar="R", help="whose list prices (default us-east-1); on Lambda, where it runs")
    group.add_argument(
        "--arch", choices=prices.ARCHITECTURES, help="processor (default x86_64); on Lambda, of the function"
    )
    group.add_argument(
        "--prices", type=_named.path, metavar="FILE", help="a price file of your own (default: the bundled one)"
    )


def tariff(args: argparse.Namespace, store_url: str) -> Tariff:
    """The prices that the options name, for a run with this store."""
    return prices.tariff(args.region or DEFAULT_REGION, args.arch or DEFAULT_ARCH, args.prices).of_store(store_url)
