"""The sources of functions, `lambda_pkg` and `faas`: beside nnlite in a clone, in it when it is installed."""

from __future__ import annotations

from pathlib import Path

NNLITE = Path(__file__).resolve().parents[1]  #: the package's own folder
INSTALLED = NNLITE / "functions"  #: where a wheel has them


def folder(name: str) -> Path:
    """The folder of that name."""
    return (INSTALLED if INSTALLED.is_dir() else NNLITE.parent) / name
