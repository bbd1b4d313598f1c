"""What the layers and losses mean, as plain loops in float64: slow, obvious, and written without nnlite.

Images are (N, C, H, W), vectors (N, D); a convolution's weight is (kernel, kernel, C, F).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, cosh, exp, log, pi, sqrt, tanh

import numpy as np


def windows(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> list[list[tuple[int, int]]]:
    """For every window along an axis, its real entries as (offset in the kernel, index on the axis)."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        starts = list(range(0, size - reach + 1, stride))
    else:
        count = ceil(size / stride)
        missing = max(0, (count - 1) * stride + reach - size)
        starts = [i * stride - missing // 2 for i in range(count)]  # the odd one is behind
    places = [[(u, start + u * dilation) for u in range(kernel)] for start in starts]
    return [[(u, place) for u, place in window if 0 <= place < size] for window in places]


def conv(x, weight, bias, stride, padding, groups=1, dilation=1):
    """y (N, F, H', W') for x (N, C, H, W), weight (k, k, C / groups, F), bias (F,)."""
    rows, columns = _axes(x, weight.shape[0], stride, padding, dilation)
    y = np.empty((len(x), weight.shape[3], len(rows), len(columns)))
    for n, f, i, j in np.ndindex(y.shape):
        y[n, f, i, j] = bias[f]
        for (u, row), (v, column) in _product(rows[i], columns[j]):
            y[n, f, i, j] += x[n, _channels(x, weight, f, groups), row, column] @ weight[u, v, :, f]
    return y


def conv_backward(x, weight, dy, stride, padding, groups=1, dilation=1):
    """(dx, d_weight, d_bias) of sum(dy * conv(x, weight, bias))."""
    rows, columns = _axes(x, weight.shape[0], stride, padding, dilation)
    dx, d_weight, d_bias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(weight.shape[3])
    for n, f, i, j in np.ndindex(dy.shape):
        d_bias[f] += dy[n, f, i, j]
        channels = _channels(x, weight, f, groups)
        for (u, row), (v, column) in _product(rows[i], columns[j]):
            dx[n, channels, row, column] += weight[u, v, :, f] * dy[n, f, i, j]
            d_weight[u, v, :, f] += x[n, channels, row, column] * dy[n, f, i, j]
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


def average_pool(x, kernel, stride, padding):
    """The mean of the real entries of every window."""
    rows, columns = _axes(x, kernel, stride, padding)
    y = np.empty((*x.shape[:2], len(rows), len(columns)))
    for n, c, i, j in np.ndindex(y.shape):
        entries = [x[n, c, row, column] for (_, row), (_, column) in _product(rows[i], columns[j])]
        y[n, c, i, j] = sum(entries) / len(entries)
    return y


def average_pool_backward(x, dy, kernel, stride, padding):
    """dx of sum(dy * average_pool(x)): dy in equal shares to the entries of its window."""
    rows, columns = _axes(x, kernel, stride, padding)
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dy.shape):
        window = [(row, column) for (_, row), (_, column) in _product(rows[i], columns[j])]
        for row, column in window:
            dx[n, c, row, column] += dy[n, c, i, j] / len(window)
    return dx


def normalized(x, epsilon):
    """(x - mean) / sqrt(variance + epsilon) of a list of numbers."""
    mean = sum(x) / len(x)
    deviation = sqrt(sum((one - mean) ** 2 for one in x) / len(x) + epsilon)
    return np.array([(one - mean) / deviation for one in x])


def normalized_backward(x, dy, epsilon):
    """dx of sum(dy * normalized(x)), from the Jacobian dz[i] / dx[j] = ((i == j) - 1/m - z[i] z[j] / m) / sigma."""
    z, m = normalized(x, epsilon), len(x)
    mean = sum(x) / m
    deviation = sqrt(sum((one - mean) ** 2 for one in x) / m + epsilon)
    return np.array([sum(dy[i] * ((i == j) - 1 / m - z[i] * z[j] / m) for i in range(m)) / deviation for j in range(m)])


def group_norm(x, gain, bias, groups, epsilon):
    """Each group of channels of each sample, normalized; then gain and bias of the channel."""
    y = np.empty(x.shape)
    for n, channels in _groups(x, groups):
        z = normalized(list(x[n, channels].ravel()), epsilon).reshape(x[n, channels].shape)
        for c, image in zip(channels, z, strict=True):
            y[n, c] = gain[c] * image + bias[c]
    return y


def group_norm_backward(x, gain, dy, groups, epsilon):
    """(dx, d_gain, d_bias) of sum(dy * group_norm(x))."""
    dx, d_gain, d_bias = np.empty(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for n, channels in _groups(x, groups):
        inside = list(x[n, channels].ravel())
        z = normalized(inside, epsilon).reshape(x[n, channels].shape)
        dz = np.stack([gain[c] * dy[n, c] for c in channels])
        dx[n, channels] = normalized_backward(inside, list(dz.ravel()), epsilon).reshape(dz.shape)
        for c, image in zip(channels, z, strict=True):
            d_gain[c] += (dy[n, c] * image).sum()
            d_bias[c] += dy[n, c].sum()
    return dx, d_gain, d_bias


def activation(name, x, number):
    """(y, dy / dx) of one number."""
    match name:
        case "Tanh":
            return tanh(x), 1 / cosh(x) ** 2
        case "LeakyReLU":
            return (x, 1.0) if x > 0 else (number * x, number)
        case "Sigmoid":
            return 1 / (1 + exp(-x)), exp(-x) / (1 + exp(-x)) ** 2
        case "SiLU":
            sigmoid = 1 / (1 + exp(-x))
            return x * sigmoid, sigmoid + x * exp(-x) * sigmoid**2
        case "GELU":
            inner = sqrt(2 / pi) * (x + 0.044715 * x**3)
            slope = sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2) / cosh(inner) ** 2
            return 0.5 * x * (1 + tanh(inner)), 0.5 * (1 + tanh(inner)) + 0.5 * x * slope
        case "Softplus":
            return log(1 + exp(x)), 1 / (1 + exp(-x))
        case "ELU":
            return (x, 1.0) if x > 0 else (number * (exp(x) - 1), number * exp(x))
    raise ValueError(name)


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


def weighted_loss(of, outputs, targets, weights):
    """The mean over samples of one of nnlite's losses, each times its weight; class weights too, by definition: with
    labels the sample's, with K targets those of the outputs one by one, with one target that of its side."""
    total = 0.0
    for z, t, weight in zip(outputs, targets, weights, strict=True):
        plain = replace(of, class_weights=None)
        if of.class_weights is None:
            total += weight * loss(plain, [z], [t])
        elif np.ndim(t) == 0:
            total += weight * of.class_weights[t] * loss(plain, [z], [t])
        elif len(z) == 1:
            total += weight * of.class_weights[int(t[0] > of.middle)] * loss(plain, [z], [t])
        else:
            shares = [loss(plain, [[a]], [[b]]) for a, b in zip(z, t, strict=True)]
            share = len(z) if type(of).__name__ == "MeanSquaredError" else 1
            total += weight * sum(w * one for w, one in zip(of.class_weights, shares, strict=True)) / share
    return total / len(outputs)


def loss(of, outputs, targets):
    """The mean over samples of one of nnlite's losses, for outputs (N, K) and targets (N, K), or labels (N,)."""
    total = 0.0
    for z, t in zip(outputs, targets, strict=True):
        match type(of).__name__:
            case "SoftmaxCrossEntropy":
                logs = [one - log(sum(exp(other - max(z)) for other in z)) - max(z) for one in z]
                share = of.label_smoothing / len(z)
                wanted = [share + (1 - of.label_smoothing) * (k == t) for k in range(len(z))]
                weight = of.class_weights[t] if of.class_weights else 1
                total -= weight * sum(w * one for w, one in zip(wanted, logs, strict=True))
            case "HalfSquaredError":
                total += sum((a - b) ** 2 for a, b in zip(z, t, strict=True)) / 2
            case "MeanSquaredError":
                total += sum((a - b) ** 2 for a, b in zip(z, t, strict=True)) / len(z)
            case "Huber":
                errors = [abs(a - b) for a, b in zip(z, t, strict=True)]
                total += sum(e**2 / 2 if e <= of.delta else of.delta * (e - of.delta / 2) for e in errors)
            case "BinaryCrossEntropy":
                for a, b in zip(z, t, strict=True):
                    total -= b * log(1 / (1 + exp(-a))) + (1 - b) * log(1 / (1 + exp(a)))
            case "Hinge":
                signs = t if np.ndim(t) else [1 if k == t else -1 for k in range(len(z))]
                short = [max(0.0, 1 - a * b) for a, b in zip(z, signs, strict=True)]
                total += sum(e**2 if of.squared else e for e in short)
    return total / len(outputs)


def _groups(x, groups):
    """(sample, its channels of one group)"""
    size = x.shape[1] // groups
    return [(n, list(range(g * size, (g + 1) * size))) for n in range(len(x)) for g in range(groups)]


def _axes(x, kernel, stride, padding, dilation=1):
    return tuple(windows(size, kernel, stride, padding, dilation) for size in x.shape[2:])


def _channels(x, weight, f, groups):
    """The channels that filter f reads."""
    size, group = x.shape[1] // groups, f // (weight.shape[3] // groups)
    return slice(group * size, (group + 1) * size)


def _product(rows: list, columns: list) -> Iterator:
    return ((row, column) for row in rows for column in columns)


def _neighbours(channel: int, channels: int, radius: int) -> range:
    return range(max(0, channel - radius), min(channels, channel + radius + 1))


def _lrn_scale(pixel, channel, radius, bias, alpha):
    return bias + alpha * sum(pixel[d] ** 2 for d in _neighbours(channel, len(pixel), radius))
