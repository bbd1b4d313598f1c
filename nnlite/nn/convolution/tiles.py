"""Where the tiles of a Winograd convolution lie in images: copying them out, and adding them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.nn.convolution.window import Window
from nnlite.nn.layer import Tensor, Workspace
from nnlite.nn.parameters import Shape

OUTPUTS = 4  # m, the outputs of a tile along each axis; with 6, float32 would lose another digit
TILE_BYTES = 1 << 19  # of tiles that wait for their transform: half of a core's L2 cache


@dataclass(frozen=True)
class Tiles:
    """The tiles of n images with `channels` channels: image by image, top to bottom, left to right.

    A tile reads (OUTPUTS + kernel - 1)² inputs, and its neighbours overlap; it makes OUTPUTS² outputs. All numbers
    of a tile lie together, (pixels, C), because a batch of small products is what BLAS does best: they need no
    packing. Inputs are sorted into those of even and of odd rows and columns, (4, half², C), as the transform
    wants them; they are sorted already in the padded images, so that half a row of a tile is one run.
    """

    kernel: int
    rows: Window
    columns: Window
    n: int
    channels: int

    @property
    def grid(self) -> tuple[int, int]:
        """How many tiles cover the outputs of an image: (down, across)."""
        return -(-self.rows.count // OUTPUTS), -(-self.columns.count // OUTPUTS)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        down, across = self.grid
        return self.n * down * across

    @property
    def half(self) -> int:
        """Inputs of a tile along one axis, by two."""
        return (OUTPUTS + self.kernel - 1) // 2

    # ---- inputs

    def gathered(self, x: Tensor, ws: Workspace) -> Iterator[tuple[slice, Tensor]]:
        """(which tiles, their inputs (tiles, 4, half², C)), some images at a time."""
        padded = ws.temp("padded", self._padded_shape(), zeroed=True)
        for of_padded, of_x in self._sorted(padded, x):
            np.copyto(of_padded, of_x)
        of_image, of_odd_row, of_row, of_odd_column, of_column, _ = padded.strides
        step = OUTPUTS // 2
        overlapping = as_strided(
            padded,
            (self.n, *self.grid, 2, 2, self.half, self.half * self.channels),
            (of_image, step * of_row, step * of_column, of_odd_row, of_odd_column, of_row, padded.itemsize),
            writeable=False,
        )
        for images, tiles, part in self._parts(ws):
            np.copyto(part.reshape(-1, *overlapping.shape[1:]), overlapping[images])
            yield tiles, part

    def scattered(self, write: Callable[[slice, Tensor], object], x: Tensor, ws: Workspace) -> Tensor:
        """dx, the sum of all tiles where they overlap: the adjoint of `gathered`.

        `write(tiles, out)` writes some of them (tiles, 4, half², C).
        """
        step, (down, across), half = OUTPUTS // 2, self.grid, self.half
        d_padded = ws.temp("d padded", self._padded_shape())
        n, _, height, _, width, channels = d_padded.shape
        cells = d_padded.reshape(n, 2, height // step, step, 2, width // step, step * channels)
        for images, tiles, part in self._parts(ws):
            write(tiles, part)
            of_tiles = part.reshape(-1, down, across, 2, 2, half, half * channels).transpose(0, 3, 1, 5, 4, 2, 6)
            target = cells[images]
            target[:, :, down:] = 0
            target[:, :, :down, :, :, across:] = 0
            # Tiles are cut into cells of step² pixels: the cells at one place of all tiles do not overlap.
            for i, top in enumerate(range(0, half, step)):
                for j, left in enumerate(range(0, half, step)):
                    cell = of_tiles[..., top : top + step, :, :, left * channels : (left + step) * channels]
                    place = target[:, :, i : i + down, : cell.shape[3], :, j : j + across, : cell.shape[6]]
                    if i == j == 0:
                        np.copyto(place, cell)
                    else:
                        np.add(place, cell, out=place)
        dx = ws.temp("dx", x.shape)
        for of_padded, of_dx in self._sorted(d_padded, dx):
            np.copyto(of_dx, of_padded)
        return dx

    def _parts(self, ws: Workspace) -> Iterator[tuple[slice, slice, Tensor]]:
        """(which images, which tiles, a buffer (tiles, 4, half², C) for them): as many as stay in cache."""
        of_image = self.count // self.n
        image_bytes = of_image * 4 * self.half**2 * self.channels * ws.dtype.itemsize
        step = min(self.n, max(1, TILE_BYTES // image_bytes))
        buffer = ws.temp("tiles", (step * of_image, 4, self.half**2, self.channels))
        for start in range(0, self.n, step):
            stop = min(start + step, self.n)
            tiles = slice(start * of_image, stop * of_image)
            yield slice(start, stop), tiles, buffer[: tiles.stop - tiles.start]

    def _padded_shape(self) -> Shape:
        """(n, even or odd, rows, even or odd, columns, C), in whole cells of OUTPUTS // 2."""
        step = OUTPUTS // 2
        height, width = (step * (tiles - 1 + -(-self.half // step)) for tiles in self.grid)
        return (self.n, 2, height, 2, width, self.channels)

    def _sorted(self, padded: Tensor, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of views, (h, w, n, C), of the same pixels: for even and odd rows and columns of the padded image."""
        for odd_row in range(2):
            of_padded_rows, of_rows = self.rows.lane(odd_row, 2)
            for odd_column in range(2):
                of_padded_columns, of_columns = self.columns.lane(odd_column, 2)
                inside = padded[:, odd_row, of_padded_rows, odd_column, of_padded_columns]
                yield inside.transpose(1, 2, 0, 3), x[of_rows, of_columns]

    # ---- outputs

    def same_pixels(self, y: Tensor, outputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of views of y (H', W', n, filters) and of `outputs` (tiles, OUTPUTS², filters) that hold the
        same pixels: one pair when OUTPUTS divides both sides, else also the narrower tiles at the edges."""
        n, filters = y.shape[2:]
        tiles = outputs.reshape(n, *self.grid, OUTPUTS, OUTPUTS, filters)
        for down, height, rows in _cut(self.rows.count):
            for across, width, columns in _cut(self.columns.count):
                num_across = (columns.stop - columns.start) // width
                pixels = y[rows, columns].reshape(-1, height, num_across, width, n, filters)
                yield pixels.transpose(4, 0, 2, 1, 3, 5), tiles[:, down, across, :height, :width]


def _cut(size: int) -> Iterator[tuple[slice, int, slice]]:
    """`size` outputs in tiles: (which tiles, outputs of each, which outputs), the whole ones and the rest."""
    whole = size // OUTPUTS
    if whole:
        yield slice(0, whole), OUTPUTS, slice(0, whole * OUTPUTS)
    if size % OUTPUTS:
        yield slice(whole, whole + 1), size % OUTPUTS, slice(whole * OUTPUTS, size)
