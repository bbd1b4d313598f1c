"""The commands, one short file each: their names and their parsers."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

COMMANDS = {
    "train": "train a network",
    "predict": "answer new rows or pictures with a trained network",
    "tune": "search for hyper-parameters",
    "status": "see how runs stand",
    "stop": "stop runs",
    "report": "a page about a run",
    "data": "datasets: list, fetch, show",
    "simulate": "a run in virtual time: how long, for how much",
    "optimize": "the memory and workers that cost least",
    "deploy": "put nnlite on AWS Lambda or OpenFaaS, or remove it",
}  # name, and module of this folder -> what it does


def parser_of(name: str, argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of a command; that of `deploy` has the options of the platform that the command line names."""
    make = importlib.import_module(f"nnlite.commands.{name}")._parser
    parser: argparse.ArgumentParser = make(argv) if name == "deploy" else make()
    return parser
