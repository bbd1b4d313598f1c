"""A plot of what more workers bring, and cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnlite.errors import NnliteError, UsageError
from nnlite.simulation.forecast import Forecast


def draw(rows: Sequence[Forecast], title: str, path: str) -> None:
    """Seconds a round, requests and dollars over the number of workers, as the image file that `path` ends in.

    Raises UsageError when there is no matplotlib, or it cannot write such a file.
    """
    try:
        import matplotlib
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install matplotlib, or leave it out") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), layout="constrained")
    workers = [row.workers for row in rows]
    _curve(axes[0], workers, [row.round_s for row in rows], "seconds a round")
    _curve(axes[1], workers, [row.requests_per_worker_round for row in rows], "requests a worker and round")
    _curve(axes[2], workers, [row.usd for row in rows], "USD for the run, list prices")
    figure.suptitle(title)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise (UsageError if isinstance(error, ValueError) else NnliteError)(f"--plot {Path(path)}: {error}") from None
    finally:
        pyplot.close(figure)


def _curve(axes: Any, x: Sequence[float], y: Sequence[float], name: str) -> None:
    axes.plot(x, y, marker="o")
    axes.set_xscale("log")
    if min(y) > 0:
        axes.set_yscale("log")
    axes.set(xlabel="workers", title=name)
    axes.grid(alpha=0.3, which="both")
