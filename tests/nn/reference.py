"""What the layers and losses mean, as plain loops in float64: slow, obvious, and written without nnlite.

Images are (N, C, H, W), vectors (N, D); a convolution's weight is (kernel, kernel, C, F).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, exp, log

import numpy as np


def windows(size: int, kernel: int, stride: int, padding: str) -> list[list[tuple[int, int]]]:
    """For every window along an axis, its real entries as (offset in the window, index on the axis)."""
    if padding == "valid":
        starts = list(range(0, size - kernel + 1, stride))
    else:
        count = ceil(size / stride)
        missing = max(0, (count - 1) * stride + kernel - size)
        starts = [i * stride - missing // 2 for i in range(count)]  # the odd one is behind
    return [[(u, start + u) for u in range(kernel) if 0 <= start + u < size] for start in starts]


def conv(x, weight, bias, stride, padding):
    """y (N, F, H', W') for x (N, C, H, W), weight (k, k, C, F), bias (F,)."""
    rows, columns = _axes(x, weight.shape[0], stride, padding)
    y = np.empty((len(x), weight.shape[3], len(rows), len(columns)))
    for n, i, j in np.ndindex(len(x), len(rows), len(columns)):
        y[n, :, i, j] = bias
        for (u, row), (v, column) in _product(rows[i], columns[j]):
            y[n, :, i, j] += x[n, :, row, column] @ weight[u, v]
    return y


def conv_backward(x, weight, dy, stride, padding):
    """(dx, d_weight, d_bias) of sum(dy * conv(x, weight, bias))."""
    rows, columns = _axes(x, weight.shape[0], stride, padding)
    dx, d_weight, d_bias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(weight.shape[3])
    for n, i, j in np.ndindex(len(x), len(rows), len(columns)):
        d_bias += dy[n, :, i, j]
        for (u, row), (v, column) in _product(rows[i], columns[j]):
            dx[n, :, row, column] += weight[u, v] @ dy[n, :, i, j]
            d_weight[u, v] += np.outer(x[n, :, row, column], dy[n, :, i, j])
    return dx, d_weight, d_bias


def max_pool(x, kernel, stride, padding):
    """(y, winners): the largest entry of every window, and the (row, column) of the first one in reading order."""
    rows, columns = _axes(x, kernel, stride, padding)
    shape = (*x.shape[:2], len(rows), len(columns))
    y, winners = np.empty(shape), np.empty(shape, object)
    for n, c, i, j in np.ndindex(shape):
        best, winner = -np.inf, None
        for (_, row), (_, column) in _product(rows[i], columns[j]):
            if winner is None or x[n, c, row, column] > best:
                best, winner = x[n, c, row, column], (row, column)
        y[n, c, i, j], winners[n, c, i, j] = best, winner
    return y, winners


def max_pool_backward(x, dy, kernel, stride, padding):
    """dx of sum(dy * max_pool(x)): all of dy to the first maximum of its window."""
    _, winners = max_pool(x, kernel, stride, padding)
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dy.shape):
        row, column = winners[n, c, i, j]
        dx[n, c, row, column] += dy[n, c, i, j]
    return dx


def lrn(x, radius, bias, alpha, beta):
    """x[c] / (bias + alpha * sum of x[d]² over |c - d| <= radius) ** beta."""
    y = np.empty(x.shape)
    for n, c, i, j in np.ndindex(x.shape):
        y[n, c, i, j] = x[n, c, i, j] / _lrn_scale(x[n, :, i, j], c, radius, bias, alpha) ** beta
    return y


def lrn_backward(x, dy, radius, bias, alpha, beta):
    """dx of sum(dy * lrn(x)), from the Jacobian dy[c] / dx[d], entry by entry."""
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(x.shape):
        pixel = x[n, :, i, j]
        scale = _lrn_scale(pixel, c, radius, bias, alpha)
        for d in _neighbours(c, len(pixel), radius):
            slope = -beta * pixel[c] * scale ** (-beta - 1) * 2 * alpha * pixel[d]
            if c == d:
                slope += scale**-beta
            dx[n, d, i, j] += dy[n, c, i, j] * slope
    return dx


def softmax_cross_entropy(logits, labels):
    """(mean loss, d_logits (N, K)) for logits (N, K)."""
    num_samples, num_classes = logits.shape
    total, d_logits = 0.0, np.zeros(logits.shape)
    for n in range(num_samples):
        top = max(logits[n])
        weights = [exp(z - top) for z in logits[n]]
        total += log(sum(weights)) + top - logits[n, labels[n]]
        for k in range(num_classes):
            d_logits[n, k] = (weights[k] / sum(weights) - (k == labels[n])) / num_samples
    return total / num_samples, d_logits


def _axes(x, kernel, stride, padding):
    return tuple(windows(size, kernel, stride, padding) for size in x.shape[2:])


def _product(rows: list, columns: list) -> Iterator:
    return ((row, column) for row in rows for column in columns)


def _neighbours(channel: int, channels: int, radius: int) -> range:
    return range(max(0, channel - radius), min(channels, channel + radius + 1))


def _lrn_scale(pixel, channel, radius, bias, alpha):
    return bias + alpha * sum(pixel[d] ** 2 for d in _neighbours(channel, len(pixel), radius))
