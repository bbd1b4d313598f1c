"""`python -m tools.data`: list, check, fetch and show the datasets."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nnlite import cases
from nnlite.commands import named, options
from nnlite.commands.json_lines import say
from nnlite.commands.parser import Parser
from nnlite.data import Reading, catalog
from nnlite.data.dataset import Dataset, Split
from nnlite.data.inputs import Table
from nnlite.errors import DataNotFound, UsageError

_RAMP = " .:-=+*#%@"  # from black to white


def main(args: argparse.Namespace) -> int:
    """Do what the subcommand says; see `run` for the exit code."""
    code: int = args.do(args)
    return code


def list_(args: argparse.Namespace) -> int:
    """One line a dataset: what it is, and where it was found."""
    for name in catalog.names():
        entry = catalog.entry(name)
        found, where = _whereabouts(name, args)
        if args.json:
            say(
                "dataset", name=name, title=entry.title, train=entry.official[0], test=entry.official[1],
                num_classes=entry.num_classes, found=found, where=where,
            )  # fmt: skip
        else:
            rows = f"{entry.official[0]:,} + {entry.official[1]:,}"
            print(f"{name:16} {rows:>18}  {entry.title:52} {where}")
    return 0


def _whereabouts(name: str, args: argparse.Namespace) -> tuple[bool, str]:
    kind = catalog.entry(name).kind
    if kind in ("bits", "sample"):
        return True, {"bits": "generated", "sample": "bundled: 6,000 + 1,000 of them"}[kind]
    try:
        path = catalog.find(name, data_dir=args.data, cache_dir=args.cache)
    except DataNotFound:
        path = None
    return path is not None, "not here" if path is None else str(path)


def check(args: argparse.Namespace) -> int:
    """Load a dataset, which checks it, and say what it holds."""
    dataset = _load(args, Reading(**options.given(args, Reading)))
    facts = {
        "name": dataset.name,
        "note": dataset.note,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "shape": list(dataset.input_shape),
        "dtype": dataset.train.x.dtype.name,
        "num_classes": dataset.num_classes,
        "class_names": list(dataset.class_names),
        "train_rows_per_class": _rows_per_class(dataset.train),
        "test_rows_per_class": _rows_per_class(dataset.test),
        "columns": _columns(dataset),
        "amounts": asdict(dataset.amounts) if dataset.amounts is not None else None,
        "digest": dataset.digest(),
    }
    if args.json:
        say("checked", **facts)
        return 0
    if dataset.amounts is not None:
        facts["amounts"] = f"{dataset.amounts.low:g} to {dataset.amounts.high:g}, mean {dataset.amounts.mean:.4g}"
    facts["columns"] = [f"\n  {_in_words(column)}" for column in _columns(dataset)] or ["-"]
    for key, value in facts.items():
        text = " ".join(str(v) for v in value) if isinstance(value, list) else str(value if value is not None else "-")
        print(f"{key:21} {text}")
    return 0


def _rows_per_class(split: Split) -> list[int]:
    """Rows of each label that occurs, lowest label first; none of amounts."""
    if split.y.dtype.kind == "f":
        return []
    counts: list[int] = np.unique(split.y, return_counts=True)[1].tolist()
    return counts


def _columns(dataset: Dataset) -> list[dict[str, Any]]:
    """What is known of the columns of a table; none of any other dataset."""
    return [asdict(column) for column in dataset.inputs.columns] if isinstance(dataset.inputs, Table) else []


def _in_words(column: dict[str, Any]) -> str:
    if column["texts"]:
        return f"{column['name']}: {column['kind']}, one of {', '.join(column['texts'])}"
    numbers = f"{column['low']:g} to {column['high']:g}, mean {column['mean']:.4g}, deviation {column['std']:.4g}"
    return f"{column['name']}: {column['kind']}, {numbers}"


def fetch(args: argparse.Namespace) -> int:
    """Download a dataset, or all that are published, to the cache."""
    names = catalog.names() if args.name == "all" else (args.name,)
    done = set()
    for name in names:
        resources = catalog.entry(name).resources
        if args.name == "all" and (not resources or resources in done):
            continue  # nothing to download, or one more split of the same archive
        done.add(resources)
        with _Bar() as bar:
            folder = catalog.fetch(name, cache_dir=args.cache, progress=bar.update, on_file=bar.start)
        if args.json:
            say("fetched", name=name, folder=str(folder))
        else:
            print(f"{name}: {folder}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print one row: an image as characters, upright, or bits as + and -."""
    dataset = _load(args, Reading())
    split = dataset.test if args.test else dataset.train
    if not 0 <= args.index < len(split):
        raise UsageError(f"--index is from 0 to {len(split) - 1}, not {args.index}")
    label = int(split.y[args.index])
    title = dataset.class_names[label] if dataset.class_names else str(label)
    lines = picture(split.x[args.index])
    if args.json:
        say("row", name=dataset.name, index=args.index, label=label, title=title, lines=lines)
    else:
        print(f"{dataset.name} {'test' if args.test else 'train'} {args.index}: {title}", *lines, sep="\n")
    return 0


def picture(row: np.ndarray) -> list[str]:
    """A row as lines of text: (C, H, W) uint8 -> H lines of 2*W characters; (D,) -> one line of + and -."""
    if row.ndim == 1:
        return ["".join("+" if value > 0 else "-" for value in row)]
    level = row.mean(axis=0) * (len(_RAMP) - 1) / 255
    return ["".join(_RAMP[round(float(value))] * 2 for value in line).rstrip() for line in level]


def _load(args: argparse.Namespace, reading: Reading) -> Dataset:
    if cases.names_path(args.name) or reading.given():
        with named.wrong_if_named(args.name):
            return cases.dataset(cases.AUTO, args.name, args.data, reading)
    for flag, value in (("--data", args.data), ("--cache", args.cache)):
        if value is not None and not catalog.has_files(args.name):
            raise UsageError(f"{flag} {value}: {args.name} is not read from files: leave it out")
    with _Bar() as bar:
        return catalog.load(args.name, data_dir=args.data, cache_dir=args.cache, progress=bar.update)


class _Bar:
    """Progress on stderr: a bar by tqdm on a terminal, if installed; else a line at most once a second."""

    def __init__(self) -> None:
        self._name = "downloading"
        self._bar: Any = None
        self._said_s = float("-inf")
        self._make: Callable[..., Any] | None = None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._make = tqdm

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def start(self, name: str) -> None:
        """A new file begins."""
        self._close()
        self._name = name

    def update(self, done_bytes: int, total_bytes: int | None) -> None:
        """As `download.Progress`."""
        if self._make is not None:
            if self._bar is None:
                self._bar = self._make(total=total_bytes, desc=self._name, unit="B", unit_scale=True)
            self._bar.update(done_bytes - self._bar.n)
            return
        now_s = time.monotonic()
        if now_s - self._said_s >= 1 or done_bytes == total_bytes:
            self._said_s = now_s
            total = "?" if total_bytes is None else f"{total_bytes / 1e6:.1f}"
            print(f"{self._name}: {done_bytes / 1e6:.1f} of {total} MB", file=sys.stderr)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    common.add_argument("--cache", type=Path, metavar="DIR", help="where downloads are (~/.cache/nnlite)")
    data = Parser(add_help=False)
    data.add_argument("--data", type=Path, metavar="DIR", help="where the official files are (NNLITE_DATA)")
    name = Parser(add_help=False)
    name.add_argument("name", metavar="NAME", help="a dataset: see `list`")
    one = Parser(add_help=False)
    one.add_argument("name", metavar="NAME", help="a dataset: see `list`; or a file or folder of your own")
    options.add_groups(one, Reading, {"own": "data of your own"})

    parser = _formatted(Parser(prog="python -m tools.data", description=__doc__), "list")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        word: str, do: Callable[[argparse.Namespace], int], example: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        child = subparsers.add_parser(word, help=do.__doc__, description=do.__doc__, parents=[*parents, common])
        child.set_defaults(do=do)
        return _formatted(child, example)

    add("list", list_, "list --data ~/data", data)
    add("check", check, "check iris.csv --target species", one, data)
    add("fetch", fetch, "fetch cifar10", name)
    shown = add("show", show, "show fashion-sample --index 3", name, data)
    shown.add_argument("--index", type=int, default=0, help="which row, from 0")
    shown.add_argument("--test", action="store_true", help="of the test split (else train)")
    return parser


def _formatted(parser: argparse.ArgumentParser, example: str) -> argparse.ArgumentParser:
    parser.epilog = f"example:\n  python -m tools.data {example}"
    return parser
