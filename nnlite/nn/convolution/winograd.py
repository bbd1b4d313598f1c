"""Convolution of stride 1 by Winograd's minimal filtering: four to six times fewer multiplications.

Along one axis, m outputs of a filter with r taps are AT ((G g) * (BT d)), see `cook_toom`. In two dimensions
every matrix becomes its Kronecker product with itself, so that the transform of a tile is a small matrix product;
and with channels the product `*` becomes one matrix product (tiles, C) @ (C, filters) for each of the
(m + r - 1)² points of a tile (Lavin & Gray 2015, arXiv:1509.09308):

    V[t] = B2 tile[t]       U = G2 weight       M[point] = V[point] U[point]       Y[t] = A2 M[t]

with B2 = BT x BT, G2 = G x G, A2 = AT x AT. Everything is linear, so backward is the transpose of each step.
F(4, 5) takes 64 products for 16 outputs of 25 taps each: 6.25 times fewer; F(4, 3) takes 36 for 16 of 9: 4.
In float32 the result has about five times the rounding error of a plain sum (2e-6 of its size).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlite.nn.convolution.base import Convolution
from nnlite.nn.convolution.cook_toom import cook_toom_halves
from nnlite.nn.convolution.tiles import OUTPUTS, Tiles
from nnlite.nn.layer import Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape, aligned_copy


@dataclass(frozen=True)
class Winograd(Convolution, described=False):
    """The convolution without its bias, by F(4x4, r x r). Where tiles lie is told in `tiles.Tiles`."""

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        """U = G2 weight: (points, C, filters), and its transpose: BLAS has no fast kernel for a product with
        a transposed small matrix on its right."""
        weight = p["weight"]
        g2 = self._g2(ws)
        u = ws.temp("U", (len(g2), *weight.shape[2:]))
        np.matmul(g2, weight.reshape(self.kernel**2, -1), out=u.reshape(len(g2), -1))
        transposed = ws.temp("U.T", (len(g2), *weight.shape[:1:-1]))
        np.copyto(transposed, u.transpose(0, 2, 1))
        return {"weight": u, "transposed": transposed}

    def collect(self, d: Tensors, g: Tensors, ws: Workspace) -> None:
        g2, du = self._g2(ws), d["weight"]
        np.matmul(g2.T, du.reshape(len(g2), -1), out=g["weight"].reshape(self.kernel**2, -1))

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        tiles, u = self._tiles(x, ws), p["weight"]
        v = self._spread("V", (len(u), tiles.count, x.shape[3]), ws, keep=True)
        for part, inputs in tiles.gathered(x, ws):
            np.matmul(self._halves(ws), inputs, out=_by_class(v)[:, :, part].transpose(2, 0, 1, 3))
        self._add_and_subtract_inplace(v, ws)
        m = ws.temp("by tile", (tiles.count, len(u), self.filters))
        np.matmul(v, u, out=m.transpose(1, 0, 2))
        outputs = ws.temp("outputs", (tiles.count, OUTPUTS**2, self.filters))
        np.matmul(self._a2(ws), m, out=outputs)
        y = ws.output((self.rows.count, self.columns.count, x.shape[2], self.filters))
        for of_y, of_tiles in tiles.same_pixels(y, outputs):
            np.copyto(of_y, of_tiles)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        tiles, transposed = self._tiles(x, ws), p["transposed"]
        d_outputs = ws.temp("d outputs", (tiles.count, OUTPUTS**2, self.filters), zeroed=True)
        for of_dy, of_tiles in tiles.same_pixels(dy, d_outputs):
            np.copyto(of_tiles, of_dy)
        dm = self._spread("dM", (len(transposed), tiles.count, self.filters), ws)
        np.matmul(self._a2(ws).T, d_outputs, out=dm.transpose(1, 0, 2))
        v = self._spread("V", (len(transposed), tiles.count, x.shape[3]), ws, keep=True)
        np.matmul(v.transpose(0, 2, 1), dm, out=g["weight"])
        if not ws.input_gradient:
            return None
        dv = self._spread("dV", v.shape, ws)
        np.matmul(dm, transposed, out=dv)
        self._add_and_subtract_inplace(dv, ws)
        halves, of_tiles = self._halves(ws).transpose(0, 2, 1), _by_class(dv).transpose(2, 0, 1, 3)
        return tiles.scattered(lambda part, out: np.matmul(halves, of_tiles[part], out=out), x, ws)

    # ---- the transforms

    def _add_and_subtract_inplace(self, v: Tensor, ws: Workspace) -> None:
        """The second half of B2, see `cook_toom_halves`, for v (points, tiles, C): it is its own transpose."""
        half = (OUTPUTS + self.kernel - 1) // 2
        halfway = self._spread("halfway", v.shape, ws)
        by_class, by_class_halfway = (array.reshape(2, 2, half, half, *v.shape[1:]) for array in (v, halfway))
        along_rows, along_columns = (0, 2, 1, 3, 4, 5), (1, 3, 0, 2, 4, 5)
        _add_and_subtract(by_class.transpose(along_rows), out=by_class_halfway.transpose(along_rows))
        _add_and_subtract(by_class_halfway.transpose(along_columns), out=by_class.transpose(along_columns))

    def _halves(self, ws: Workspace) -> Tensor:
        """The first half of B2: a matrix (half², half²) for each class of (points along H, along W): (4, ., .)."""

        def make() -> Tensor:
            halves = cook_toom_halves(OUTPUTS, self.kernel)[2]
            both = np.einsum("aip,bjq->abijpq", halves, halves)
            return aligned_copy(both.reshape(4, halves.shape[1] ** 2, -1), ws.dtype)

        return ws.once("halves of B2", make)

    def _g2(self, ws: Workspace) -> Tensor:
        """(points, taps)"""

        def make() -> Tensor:
            g = cook_toom_halves(OUTPUTS, self.kernel)[1]
            return aligned_copy(np.einsum("aiu,bjv->abijuv", g, g).reshape(-1, self.kernel**2), ws.dtype)

        return ws.once("G2", make)

    def _a2(self, ws: Workspace) -> Tensor:
        """(outputs, points)"""

        def make() -> Tensor:
            at = cook_toom_halves(OUTPUTS, self.kernel)[0]
            return aligned_copy(np.einsum("kai,lbj->klabij", at, at).reshape(OUTPUTS**2, -1), ws.dtype)

        return ws.once("A2", make)

    # ---- memory

    def _tiles(self, x: Tensor, ws: Workspace) -> Tiles:
        n, channels = x.shape[2:]
        return ws.once(f"tiles {n}", lambda: Tiles(self.kernel, self.rows, self.columns, n, channels))

    def _spread(self, name: str, shape: Shape, ws: Workspace, *, keep: bool = False) -> Tensor:
        """(points, tiles, C) with room for one more tile a point: planes whose distance is a multiple of 4 KB
        would all fall into the same few lines of the cache."""
        points, num_tiles, channels = shape
        array = (ws.keep if keep else ws.temp)(name, (points, num_tiles + 1, channels))
        return array[:, :num_tiles]


def _add_and_subtract(a: Tensor, out: Tensor) -> None:
    """e + o and e - o for a (2 classes, half, ...); the first of each class is zero or infinity, and stays."""
    even, odd = a
    np.add(even[1:], odd[1:], out=out[0, 1:])
    np.subtract(even[1:], odd[1:], out=out[1, 1:])
    np.copyto(out[:, 0], a[:, 0])


def _by_class(v: Tensor) -> Tensor:
    """(points, tiles, C) as (4 classes, half², tiles, C)."""
    return v.reshape(4, -1, *v.shape[1:])
