"""A plot of what more workers bring, and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnlite.report import picture
from nnlite.simulation.forecast import Forecast


def draw(rows: Sequence[Forecast], title: str, path: str) -> None:
    """Seconds a round, requests and dollars over the number of workers, as the picture that `path` ends in."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), dpi=120, layout="constrained")
    axes = figure.subplots(1, 3)
    workers = [row.workers for row in rows]
    _curve(axes[0], workers, [row.round_s for row in rows], "seconds a round")
    _curve(axes[1], workers, [row.requests_per_worker_round for row in rows], "requests a worker and round")
    _curve(axes[2], workers, [row.usd for row in rows], "USD for the run, list prices")
    figure.suptitle(title)
    picture.write(figure, path)


def _curve(axes: Any, x: Sequence[float], y: Sequence[float], name: str) -> None:
    axes.plot(x, y, marker="o")
    axes.set_xscale("log")
    if min(y) > 0:
        axes.set_yscale("log")
    axes.set(xlabel="workers", title=name)
    axes.grid(alpha=0.3, which="both")
