"""Max-pooling, as two passes over one axis each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.nn.convolution.window import Window, side_by_side
from nnlite.nn.engine.masks import times_mask
from nnlite.nn.layer import Tensor, Tensors, Workspace
from nnlite.nn.layers.pooling import Pool2D


@dataclass(frozen=True)
class MaxPool2D(Pool2D):
    """The largest entry of every window: x (H, W, n, C) -> y (H', W', n, C).

    A maximum over a square is a maximum over columns of maxima over rows, so each axis is pooled on its own.
    Of equal entries the first in reading order wins and gets the whole gradient, as in PyTorch.
    """

    takes_maximum: ClassVar[bool] = True
    sorted_columns: ClassVar[bool] = False  #: the columns of x come sorted by index modulo stride

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        height, width, n, channels = x.shape
        rows, columns = self.windows((channels, height, width))
        by_width = ws.temp("by_width", (height, columns.count, n, channels))
        _pool_forward(x.swapaxes(0, 1), by_width.swapaxes(0, 1), columns, "w", ws, in_lanes=self.sorted_columns)
        y = ws.output((rows.count, columns.count, n, channels))
        _pool_forward(by_width, y, rows, "h", ws)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        height, width, n, channels = x.shape
        rows, columns = self.windows((channels, height, width))
        d_by_width = ws.temp("d_by_width", (height, columns.count, n, channels))
        _pool_backward(dy, d_by_width, rows, "h", ws)
        dx = ws.temp("dx", x.shape)
        _pool_backward(d_by_width.swapaxes(0, 1), dx.swapaxes(0, 1), columns, "w", ws, in_lanes=self.sorted_columns)
        return dx


@dataclass(frozen=True)
class MaxPoolOfSortedColumns(MaxPool2D, described=False):
    """A `MaxPool2D` behind a convolution that sorts its columns for it, see `plan`."""

    sorted_columns: ClassVar[bool] = True


def _pool_forward(x: Tensor, y: Tensor, window: Window, axis: str, ws: Workspace, in_lanes: bool = False) -> None:
    """y[o] = max over u of x[o * stride + u - before], along the leading axis; masks say where y rose.

    `in_lanes`: the axis of x is sorted by index modulo stride.
    """
    at = _places(window, in_lanes)
    (outputs, entries), *others = [window.meeting(offset) for offset in range(window.kernel)]
    first = x[at(entries)]
    y[: outputs.start] = -np.inf
    y[outputs.stop :] = -np.inf
    # The first need not be copied, if the second can be compared with it where it lies.
    is_copied = not others or others[0][0] != outputs
    if is_copied:
        np.copyto(y[outputs], first)
    for offset, (outputs, entries) in enumerate(others, start=1):
        candidate, best = x[at(entries)], y[outputs]
        before = best if is_copied or offset > 1 else first
        if ws.training:
            np.greater(candidate, before, out=_mask(ws, axis, offset, candidate))
        np.maximum(before, candidate, out=best)


def _pool_backward(dy: Tensor, dx: Tensor, window: Window, axis: str, ws: Workspace, in_lanes: bool = False) -> None:
    """Send each dy[o] to the last offset whose mask rose there, or to offset 0. Destroys dy.

    Offsets that are `stride` apart meet the same entries: of those, the first to come writes, the others add.
    """
    at, stride = _places(window, in_lanes), window.stride
    written = set()
    for offset in reversed(range(window.kernel)):
        outputs, entries = window.meeting(offset)
        rest, target = dy[outputs], dx[at(entries)]
        if len(target) == 0:
            continue
        lane = (offset - window.before) % stride
        is_first = lane not in written
        written.add(lane)
        if is_first:
            dx[at(slice(lane, entries.start, stride))] = 0
            dx[at(slice(entries.start + len(target) * stride, window.size, stride))] = 0
        taken = rest
        if offset > 0:
            taken = target if is_first else ws.temp(f"taken_{axis}", rest.shape)
            times_mask(rest, _mask(ws, axis, offset, rest), ws, out=taken)
            np.subtract(rest, taken, out=rest)
        elif is_first:
            np.copyto(target, rest)
        if not is_first:
            np.add(target, taken, out=target)
    for lane in set(range(stride)) - written:
        dx[at(slice(lane, window.size, stride))] = 0


def _places(window: Window, in_lanes: bool) -> Callable[[slice], slice]:
    """Where entries of the axis lie in memory."""
    return (lambda entries: side_by_side(entries, window.size)) if in_lanes else (lambda entries: entries)


def _mask(ws: Workspace, axis: str, offset: int, like: Tensor) -> Tensor:
    return ws.keep(f"rose_{axis}{offset}", like.shape, bool)
