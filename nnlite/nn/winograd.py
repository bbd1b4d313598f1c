"""Convolution of stride 1 by Winograd's minimal filtering: two to six times fewer multiplications.

Along one axis, m outputs of a filter with r taps are AT ((G g) * (BT d)), see `cook_toom`. In two dimensions
every matrix becomes its Kronecker product with itself, so that a transform of a whole tile is one small
matrix product; and with channels the product `*` becomes one matrix product (tiles, C) @ (C, filters) for each
of the (m + r - 1)² points of a tile (Lavin & Gray 2015, arXiv:1509.09308):

    V[t] = B2 tile[t]       U = G2 weight       M[point] = V[point] U[point]       Y[t] = A2 M[t]

with B2 = BT x BT, G2 = G x G, A2 = AT x AT. Everything is linear, so backward is the transpose of each step.
F(4, 5) takes 64 products for 16 outputs of 25 taps each: 6.25 times fewer; F(4, 3) takes 36 for 16 of 9: 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.nn.convolution import Convolution
from nnlite.nn.cook_toom import cook_toom
from nnlite.nn.layer import Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape, aligned_copy

OUTPUTS = 4  # m: with 6 there are fewer products yet, but float32 loses another digit
TILE_BYTES = 1 << 19  # of tiles that wait for their transform: half of a core's L2 cache


@dataclass(frozen=True)
class Winograd(Convolution, described=False):
    """The convolution without its bias, by F(4x4, r x r).

    Tiles lie image by image, (n, tiles down, tiles across), and each is (points, C) with all points of a tile
    together, because a batch of small products is what BLAS does best: they need no packing.
    """

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        """U = G2 weight: (points, C, filters), and its transpose: BLAS has no fast kernel for a product with
        a transposed small matrix on its right."""
        weight = p["weight"]
        points = (OUTPUTS + self.kernel - 1) ** 2
        u = ws.temp("U", (points, *weight.shape[2:]))
        np.matmul(self._matrices(ws)[1], weight.reshape(self.kernel**2, -1), out=u.reshape(points, -1))
        transposed = ws.temp("U.T", (points, *weight.shape[:1:-1]))
        np.copyto(transposed, u.transpose(0, 2, 1))
        return {"weight": u, "transposed": transposed}

    def collect(self, d: Tensors, g: Tensors, ws: Workspace) -> None:
        du = d["weight"]
        np.matmul(self._matrices(ws)[1].T, du.reshape(len(du), -1), out=g["weight"].reshape(self.kernel**2, -1))

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        a2, _, b2 = self._matrices(ws)
        u = p["weight"]
        _, _, n, channels = x.shape
        down, across = self._tiles()
        num_tiles, points = n * down * across, len(u)
        v = self._spread("V", (points, num_tiles, channels), ws, keep=True)
        for tiles, part in self._gathered(x, ws):
            np.matmul(b2, part, out=v[:, tiles].transpose(1, 0, 2))
        m = ws.temp("by tile", (num_tiles, points, self.filters))
        np.matmul(v, u, out=m.transpose(1, 0, 2))
        outputs = ws.temp("outputs", (num_tiles, OUTPUTS**2, self.filters))
        np.matmul(a2, m, out=outputs)
        y = ws.output((self.rows.count, self.columns.count, n, self.filters))
        for of_y, of_tiles in self._same_pixels(y, outputs):
            np.copyto(of_y, of_tiles)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        a2, _, b2 = self._matrices(ws)
        _, _, n, channels = x.shape
        down, across = self._tiles()
        num_tiles, points = n * down * across, len(p["weight"])
        d_outputs = ws.temp("d outputs", (num_tiles, OUTPUTS**2, self.filters), zeroed=True)
        for of_dy, of_tiles in self._same_pixels(dy, d_outputs):
            np.copyto(of_tiles, of_dy)
        dm = self._spread("dM", (points, num_tiles, self.filters), ws)
        np.matmul(a2.T, d_outputs, out=dm.transpose(1, 0, 2))
        v = self._spread("V", (points, num_tiles, channels), ws, keep=True)
        np.matmul(v.transpose(0, 2, 1), dm, out=g["weight"])
        if not ws.input_gradient:
            return None
        dv = ws.temp("by tile", (num_tiles, points, channels))
        np.matmul(dm, p["transposed"], out=dv.transpose(1, 0, 2))
        return self._scattered(dv, b2.T, x, ws)

    # ---- tiles of inputs: they overlap

    def _gathered(self, x: Tensor, ws: Workspace) -> Iterator[tuple[slice, Tensor]]:
        """(which tiles, their inputs (tiles, points, C)), some images at a time."""
        padded = ws.temp("padded", self._padded_shape(x), zeroed=True)
        np.copyto(self._inside(padded), x)
        side = OUTPUTS + self.kernel - 1
        n, _, _, channels = padded.shape
        of_image, of_row, of_column, of_channel = padded.strides
        # A row of a tile is one run of side * C numbers, because columns and channels are neighbours.
        overlapping = as_strided(
            padded,
            (n, *self._tiles(), side, side * channels),
            (of_image, OUTPUTS * of_row, OUTPUTS * of_column, of_row, of_channel),
            writeable=False,
        )
        for images, tiles, part in self._parts(n, channels, ws):
            np.copyto(part.reshape(-1, *overlapping.shape[1:]), overlapping[images])
            yield tiles, part

    def _scattered(self, dv: Tensor, b2_transposed: Tensor, x: Tensor, ws: Workspace) -> Tensor:
        """dx, the sum of all input tiles B2.T dV[t] where they overlap: the adjoint of `_gathered`."""
        down, across = self._tiles()
        n, _, _, channels = padded_shape = self._padded_shape(x)
        d_padded = ws.temp("d padded", padded_shape)
        cells = d_padded.reshape(n, padded_shape[1] // OUTPUTS, OUTPUTS, padded_shape[2] // OUTPUTS, -1)
        side = OUTPUTS + self.kernel - 1
        for images, tiles, part in self._parts(n, channels, ws):
            np.matmul(b2_transposed, dv[tiles], out=part)
            of_tiles = part.reshape(-1, down, across, side, side * channels).transpose(0, 1, 3, 2, 4)
            target = cells[images]
            target[:, down:] = 0
            target[:, :, :, across:] = 0
            # A tile is cut into cells of OUTPUTS² pixels; the cells at one place of all tiles do not overlap.
            for top in range(0, side, OUTPUTS):
                for left in range(0, side, OUTPUTS):
                    cell = of_tiles[:, :, top : top + OUTPUTS, :, left * channels : (left + OUTPUTS) * channels]
                    i, j = top // OUTPUTS, left // OUTPUTS
                    place = target[:, i : i + down, : cell.shape[2], j : j + across, : cell.shape[4]]
                    if top == left == 0:
                        np.copyto(place, cell)
                    else:
                        np.add(place, cell, out=place)
        dx = ws.temp("dx", x.shape)
        np.copyto(dx, self._inside(d_padded))
        return dx

    def _parts(self, n: int, channels: int, ws: Workspace) -> Iterator[tuple[slice, slice, Tensor]]:
        """(which images, which tiles, a buffer (tiles, points, C) for them): as many as stay in cache."""
        down, across = self._tiles()
        points = (OUTPUTS + self.kernel - 1) ** 2
        image_bytes = down * across * points * channels * ws.dtype.itemsize
        step = min(n, max(1, TILE_BYTES // image_bytes))
        buffer = ws.temp("tiles", (step * down * across, points, channels))
        for start in range(0, n, step):
            stop = min(start + step, n)
            tiles = slice(start * down * across, stop * down * across)
            yield slice(start, stop), tiles, buffer[: tiles.stop - tiles.start]

    def _tiles(self) -> tuple[int, int]:
        """How many tiles cover the outputs: (down, across)."""
        return -(-self.rows.count // OUTPUTS), -(-self.columns.count // OUTPUTS)

    def _padded_shape(self, x: Tensor) -> Shape:
        """(n, H'', W'', C): image by image, with the padding, in whole cells of OUTPUTS² pixels."""
        cells = [tiles + -(-(self.kernel - 1) // OUTPUTS) for tiles in self._tiles()]
        return (x.shape[2], cells[0] * OUTPUTS, cells[1] * OUTPUTS, x.shape[3])

    def _inside(self, padded: Tensor) -> Tensor:
        """The pixels of `padded` (n, H'', W'', C) that are x, as (H, W, n, C)."""
        rows, columns = self.rows, self.columns
        inside = padded[:, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]
        return inside.transpose(1, 2, 0, 3)

    # ---- tiles of outputs: they do not

    def _same_pixels(self, y: Tensor, outputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of views of y (H', W', n, filters) and of `outputs` (tiles, OUTPUTS², filters) that hold the
        same pixels: one pair when OUTPUTS divides both sides, else also the narrower tiles at the edges."""
        n, filters = y.shape[2:]
        tiles = outputs.reshape(n, *self._tiles(), OUTPUTS, OUTPUTS, filters)
        for down, height, rows in _cut(self.rows.count):
            for across, width, columns in _cut(self.columns.count):
                pixels = y[rows, columns].reshape(-1, height, (columns.stop - columns.start) // width, width, n, filters)
                yield pixels.transpose(4, 0, 2, 1, 3, 5), tiles[:, down, across, :height, :width]

    # ---- memory

    def _matrices(self, ws: Workspace) -> tuple[Tensor, Tensor, Tensor]:
        """A2 (outputs, points), G2 (points, taps), B2 (points, points)."""
        return ws.once(
            "matrices",
            lambda: tuple(aligned_copy(np.kron(m, m), ws.dtype) for m in cook_toom(OUTPUTS, self.kernel)),
        )

    def _spread(self, name: str, shape: Shape, ws: Workspace, *, keep: bool = False) -> Tensor:
        """(points, tiles, C) with room for one more tile a point: planes whose distance is a multiple of 4 KB
        would all fall into the same few lines of the cache."""
        points, num_tiles, channels = shape
        return (ws.keep if keep else ws.temp)(name, (points, num_tiles + 1, channels))[:, :num_tiles]


def _cut(size: int) -> Iterator[tuple[slice, int, slice]]:
    """`size` outputs in tiles: (which tiles, outputs of each, which outputs), the whole ones and the rest."""
    whole = size // OUTPUTS
    if whole:
        yield slice(0, whole), OUTPUTS, slice(0, whole * OUTPUTS)
    if size % OUTPUTS:
        yield slice(whole, whole + 1), size % OUTPUTS, slice(whole * OUTPUTS, size)
