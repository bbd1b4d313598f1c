"""A picture: a figure of matplotlib, in a file that is written like every other, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from nnlite import output
from nnlite.errors import UsageError, words

KINDS = (".png", ".svg", ".pdf")


def check(path: str, name: str) -> None:
    """Raise UsageError now when the picture could not be made in the end. name: what to call it, such as "--plot x"."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        flag = name.split(maxsplit=1)[0]
        raise UsageError(f"{flag} needs matplotlib ({words(error)}): pip install matplotlib, or leave it out") from None
    if Path(path).suffix.lower() not in KINDS:
        raise UsageError(f"{name}: name a .png, .svg or .pdf file")
    output.check(path, name)


def write(figure: Any, path: str | Path) -> None:
    """Write a figure as the kind of picture that the name ends in. Raises StoreError."""
    made = io.BytesIO()
    figure.savefig(made, format=Path(path).suffix[1:].lower())
    output.write(path, [made.getbuffer()], "the picture")
