"""Weight standardization: each filter of a layer with mean 0 and variance 1, whatever the optimizer does to it.

With averages over the weights of a filter (Qiao et al. 2019, arXiv:1903.10520), and d the gradient with respect to what
the layer uses, v:

    v = (w - mean(w)) / sigma, sigma² = variance(w) + epsilon        dw = (d - mean(d) - v mean(d v)) / sigma
"""

from __future__ import annotations

from math import prod

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.layer import Layer, Tensor, Workspace
from nnlite.nn.parameters import Shape

EPSILON = 1e-5


def check(layer: Layer, weight: Shape) -> None:
    """Raise StructureError for a weight (..., filters) whose filters are single numbers: all would be 0."""
    if prod(weight[:-1]) < 2:
        raise StructureError(f"{type(layer).__name__}: standardized, but a filter has a single weight: leave it out")


def standardize(weight: Tensor, ws: Workspace) -> Tensor:
    """v of the shape of `weight` (..., filters), in memory of the workspace, where it stays for `unstandardize`."""
    w, v = _matrix(weight), ws.keep("standardized", weight.shape)
    filters = w.shape[1:]
    out, squares = _matrix(v), ws.temp("squares", w.shape)
    mean, inverse = ws.temp("mean of filters", filters), ws.keep("1 / sigma of filters", filters)
    np.matmul(ws.ones(len(w)), w, out=mean)
    np.divide(mean, len(w), out=mean)
    np.subtract(w, mean, out=out)
    np.multiply(out, out, out=squares)
    np.matmul(ws.ones(len(w)), squares, out=inverse)
    np.divide(inverse, len(w), out=inverse)
    np.add(inverse, EPSILON, out=inverse)
    np.sqrt(inverse, out=inverse)
    np.reciprocal(inverse, out=inverse)
    np.multiply(out, inverse, out=out)
    return v


def unstandardize(d: Tensor, out: Tensor, ws: Workspace) -> None:
    """out = dw, of the v that the workspace has last standardized; d is overwritten."""
    v, inverse = _matrix(ws.keep("standardized", out.shape)), ws.keep("1 / sigma of filters", out.shape[-1:])
    d, dw, mean = _matrix(d), _matrix(out), ws.temp("mean of filters", inverse.shape)
    ones = ws.ones(len(d))
    np.multiply(d, v, out=dw)
    np.matmul(ones, dw, out=mean)
    np.divide(mean, len(d), out=mean)
    np.multiply(v, mean, out=dw)
    np.subtract(d, dw, out=dw)
    np.matmul(ones, d, out=mean)
    np.divide(mean, len(d), out=mean)
    np.subtract(dw, mean, out=dw)
    np.multiply(dw, inverse, out=dw)


def _matrix(weight: Tensor) -> Tensor:
    """(weights of a filter, filters), a view."""
    return weight.reshape(-1, weight.shape[-1])
