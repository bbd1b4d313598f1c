"""Cook-Toom matrices: short convolutions with the fewest multiplications, computed exactly.

Two polynomials can be multiplied by evaluating both at enough points, multiplying the values, and
interpolating (Toom 1963, Cook 1966). The transpose of that algorithm is the "minimal filtering" of Winograd
(1980): m outputs of a filter with r taps for m + r - 1 multiplications instead of m * r.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Matrix = list[list[Fraction]]
Floats = NDArray[np.float64]

# Zero, and small numbers each with its negative: their powers, and with them the rounding errors, stay small.
POINTS = [Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3", "1/3", "-1/3")]


@lru_cache
def cook_toom(m: int, r: int) -> tuple[Floats, Floats, Floats]:
    """AT (m, m+r-1), G (m+r-1, r) and BT (m+r-1, m+r-1) of F(m, r): y = AT @ ((G @ g) * (BT @ d)).

    y[i] = sum over k of g[k] d[i + k], for a filter g (r,) and data d (m + r - 1,). The points are the first
    m + r - 2 of POINTS, and infinity.
    """
    size = m + r - 1
    points = POINTS[: size - 1]
    if len(points) < size - 1:
        raise ValueError(f"F({m}, {r}) needs {size - 1} points; only {len(POINTS)} are given")
    outputs, filters = _evaluate(points, m), _evaluate(points, r)
    interpolate = _inverse(_evaluate(points, size))
    data = [list(column) for column in zip(*interpolate, strict=True)]
    for row in range(size):  # moving a factor from BT to G keeps the entries of both near 1
        factor = next(value for value in reversed(data[row]) if value)
        data[row] = [value / factor for value in data[row]]
        filters[row] = [value * factor for value in filters[row]]
    return _floats(outputs).T, _floats(filters), _floats(data)


def cook_toom_halves(m: int, r: int) -> tuple[Floats, Floats, Floats]:
    """The same for an even size h + h = m + r - 1, with the points in two classes of h: zero and the positive
    ones, infinity and the negative ones. AT (m, 2, h), G (2, h, r) and, instead of BT, halves (2, h, h).

    The rows of BT for p and -p differ only in the sign of their odd entries. So with e = halves[0] @ d[0::2] and
    o = halves[1] @ d[1::2], BT @ d is e + o at the positive points, e - o at the negative ones, e at zero and o
    at infinity: half the multiplications.
    """
    size = m + r - 1
    outputs, filters, data = cook_toom(m, r)
    positive, negative = list(range(1, size - 1, 2)), list(range(2, size - 1, 2))
    order = [0, *positive, size - 1, *negative]
    even = data[[0, *positive], 0::2]
    odd = data[[size - 1, *positive], 1::2]
    return outputs[:, order].reshape(m, 2, -1), filters[order].reshape(2, -1, r), np.stack([even, odd])


def _evaluate(points: list[Fraction], length: int) -> Matrix:
    """The matrix that takes the coefficients of a polynomial to its values at the points and, last, at infinity,
    where only the leading coefficient counts."""
    rows = [[point**power for power in range(length)] for point in points]
    return [*rows, [Fraction(0)] * (length - 1) + [Fraction(1)]]


def _inverse(matrix: Matrix) -> Matrix:
    """By Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        lead = rows[column][column]
        rows[column] = [value / lead for value in rows[column]]
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]


def _floats(matrix: Matrix) -> Floats:
    return np.array([[float(value) for value in row] for row in matrix])
