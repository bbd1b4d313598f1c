"""The curve of an optimization: seconds against memory, as a table and as a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.cost.curve import score
from nnlite.estimating.optimum import Hunt
from nnlite.quantities import ONE_CORE_MB
from nnlite.report import picture


def rows(hunt: Hunt) -> list[dict[str, Any]]:
    """One for each size that was probed, chosen, or is the default: measured and fitted seconds, and what they mean."""
    search = hunt.search
    measured: dict[int, list[float]] = {}
    for probed in hunt.probes:
        if probed.num_workers == 1 and math.isfinite(probed.seconds):
            measured.setdefault(probed.memory_mb, []).append(probed.seconds)
    sizes = sorted({*measured, search.choice_mb, hunt.default_mb})
    curve = search.curve
    if curve is None:
        return []
    at_best = float(score(search.objective, search.choice_mb, curve.seconds(search.choice_mb)))
    found = []
    for size in sizes:
        fitted = float(curve.seconds(size))
        found.append(
            {
                "memory_mb": size,
                "measured_s": [round(value, 4) for value in measured.get(size, [])],
                "fitted_s": round(fitted, 4),
                "gb_s": round(size / 1024 * fitted, 5),
                "against_choice": round(float(score(search.objective, size, fitted)) / at_best, 3),
                "chosen": size == search.choice_mb,
            }
        )
    return found


def show(hunt: Hunt) -> None:
    """The table, on stdout."""
    print(f"{'memory':>8} {'s a round, measured':>22} {'by the curve':>13} {'GB-seconds':>11}  {hunt.search.objective}")
    for row in rows(hunt):
        measured = ", ".join(f"{value:.3f}" for value in row["measured_s"]) or "-"
        mark = "  <- chosen" if row["chosen"] else ""
        print(
            f"{row['memory_mb']:>5} MB {measured:>22} {row['fitted_s']:>13.3f} {row['gb_s']:>11.3f}"
            f"  {row['against_choice']:.2f}x{mark}"
        )


def plot(hunt: Hunt, path: str) -> None:
    """The curve with its probes, and what the objective makes of it, into a picture."""
    from matplotlib.figure import Figure

    search, curve = hunt.search, hunt.search.curve
    if curve is None:
        return
    sizes = np.geomspace(search.lowest_mb, search.highest_mb, 200)
    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(sizes, curve.seconds(sizes), label="fitted: serial + work / share(memory)")
    above.plot(*zip(*search.timings, strict=True), "o", label="probes")
    above.set_ylabel("seconds a round")
    above.legend()
    scores = score(search.objective, sizes, curve.seconds(sizes))
    chosen = float(score(search.objective, search.choice_mb, curve.seconds(search.choice_mb)))
    below.plot(sizes, scores / chosen)
    below.plot([search.choice_mb], [1.0], "o", label=f"choice: {search.choice_mb} MB")
    below.set_ylabel(f"{search.objective}, times the choice's\n(less is better)")
    below.set_xlabel("memory of a function, MB")
    below.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    below.set_xscale("log", base=2)
    ticks = [
        size
        for size in (128, 256, 512, 1024, ONE_CORE_MB, 3008, 6144, 10240)
        if sizes[0] <= size <= math.ceil(sizes[-1])
    ]
    below.set_xticks(ticks, [str(tick) for tick in ticks])
    picture.write(figure, path)
