"""What the tests of the network share: a way to send arrays through one layer, and random networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from nnlite import nn

# Always the same examples: finite differences meet a kink (ReLU, pooling) by chance, once in a thousand.
laws = settings(deadline=None, derandomize=True, database=None, max_examples=60)

seeds = st.integers(0, 2**31)
paddings = st.sampled_from(["same", "valid"])
ACTIVATIONS = [nn.Tanh(), nn.LeakyReLU(0.2), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.Softplus(), nn.ELU(0.7)]
SPREAD = nn.Normal(1.0), nn.Normal(0.3)  # gains and biases that show a mistake


@dataclass(frozen=True)
class Gains(nn.Layer):
    """A user's own layer, written against the public interface: one gain a channel or feature."""

    gain: nn.Initializer = field(default_factory=lambda: nn.Normal(1.0))
    needs_output: ClassVar[bool] = False

    def parameters(self, shape):
        return {"gain": nn.Parameter((shape[0],), self.gain)}

    def forward(self, p, x, ws):
        return np.multiply(x, _along(p["gain"], x), out=ws.output(x.shape))

    def backward(self, p, g, x, y, dy, ws):
        others = (0, 1, 2) if x.ndim == 4 else (1,)
        np.sum(dy * x, axis=others, out=g["gain"])
        return np.multiply(dy, _along(p["gain"], dy), out=dy)


@dataclass(frozen=True)
class PassOn(nn.Layer):
    """A user's layer that returns x itself, and says so."""

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False
    may_return_input: ClassVar[bool] = True

    def forward(self, p, x, ws):
        return x

    def backward(self, p, g, x, y, dy, ws):
        return dy


@dataclass(frozen=True)
class Probe(nn.Layer):
    """Identity that learns (so that a gradient is wanted) and remembers the gradients that reach it."""

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False
    seen: ClassVar[list[np.ndarray]] = []

    def parameters(self, shape):
        return {"nothing": nn.Parameter((1,), nn.Constant(0.0))}

    def forward(self, p, x, ws):
        y = ws.output(x.shape)
        y[...] = x
        return y

    def backward(self, p, g, x, y, dy, ws):
        g["nothing"][...] = 0
        Probe.seen.append(dy.transpose(2, 3, 0, 1).copy() if dy.ndim == 4 else dy.T.copy())
        return dy


@dataclass(frozen=True)
class WeightedSum(nn.Loss):
    """sum(outputs * targets): the gradient it sends back is the targets, whatever they are."""

    def value_and_gradient(self, outputs, targets, out):
        out[...] = targets.T
        return float(np.vdot(outputs, targets.T))

    def num_correct(self, outputs, targets):
        return 0


@dataclass
class Passage:
    """One way through a layer and back, in outside shapes (N, C, H, W) or (N, D)."""

    y: np.ndarray
    dx: np.ndarray
    gradients: dict[str, np.ndarray]


def through(layer: nn.Layer, x: np.ndarray, dy=None, rng=None, **parameters: np.ndarray) -> Passage:
    """Send x through a layer with these parameters, and dy (N, *output shape) back."""
    network = nn.Sequential([Probe(), layer, nn.Flatten()], x.shape[1:], WeightedSum())
    vector, gradient = np.zeros(network.layout.size, x.dtype), np.full(network.layout.size, np.nan, x.dtype)
    views, name = network.layout.views(vector), network.names[1]
    for key, value in parameters.items():
        views[f"{name}/{key}"][...] = value
    y = network.predict(vector, x).reshape(len(x), *network.shapes[1])
    dy = np.zeros(y.shape, x.dtype) if dy is None else dy
    Probe.seen.clear()
    network.loss_and_gradient(vector, x, dy.reshape(len(x), -1), out=gradient, rng=rng)
    gradients = {key: network.layout.views(gradient)[f"{name}/{key}"] for key in parameters}
    return Passage(y, np.concatenate(Probe.seen), gradients)


def gradient_of(network: nn.Sequential, vector, x, y, rng=None) -> tuple[float, np.ndarray]:
    """(loss, gradient (P,)); the gradient starts as NaN, so an entry that nobody writes is seen."""
    gradient = np.full(network.layout.size, np.nan, vector.dtype)
    return network.loss_and_gradient(vector, x, y, out=gradient, rng=rng), gradient


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """||a - b|| / ||b||"""
    size = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / size if size else float(np.linalg.norm(a))


def through_json(value):
    """What comes out of JSON again."""
    return json.loads(json.dumps(value, allow_nan=False))


def small_models() -> dict[str, nn.Sequential]:
    """Every network of nn/models.py, for small inputs."""
    from nnlite.nn import models

    return {
        "bits_mlp": models.bits_mlp((7,), (6, 5, 4)),
        "cifar_cnn": models.cifar_cnn((2, 9, 8), 4),
        "mlp": models.mlp((1, 5, 4), 6, (7, 5)),
        "emnist_mlp": models.emnist_mlp((1, 4, 4), 5, 8, 0.3),
        "airbench": models.airbench((2, 9, 8), 3, (4, 4, 6), 2),
        "linear": models.linear((1, 3, 3), 4),
        "svm": models.svm((1, 3, 3), 4),
        "lenet": models.lenet((1, 12, 11), 4),
        "vgg11": models.vgg11((2, 8, 7), 3, 2, 2),
        "resnet": models.resnet((2, 7, 6), 3, 8, 4, 2),
        "mobilenet": models.mobilenet((2, 6, 7), 3, 4, 2),
    }


def batch_for(network: nn.Sequential, num_samples: int, rng, dtype=np.float64):
    """(x, y) that fit the network's input and loss."""
    x = rng.standard_normal((num_samples, *network.input_shape)).astype(dtype)
    if isinstance(network.loss, (nn.SoftmaxCrossEntropy, nn.Hinge)):
        return x, rng.integers(0, network.output_shape[0], num_samples)
    return x, rng.choice(np.array([-1, 1], np.int8), (num_samples, *network.output_shape))


@st.composite
def image_layers(draw, shape, own=True, dropout=False):
    """One layer that fits images of `shape`."""
    smallest = min(shape[1:])
    kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    padding = draw(paddings) if kernel <= smallest else "same"
    choices = [
        nn.Conv2D(draw(st.integers(1, 4)), kernel, stride, padding, nn.Normal(0.5), nn.Normal(0.3)),
        nn.Conv2D(shape[0], kernel, stride, "same", nn.Normal(0.5), nn.Normal(0.3), "auto", shape[0], 2),
        nn.Conv2D(
            *(draw(st.integers(1, 4)), kernel, stride, padding, nn.Normal(0.5), nn.Normal(0.3)),
            standardized=kernel**2 * shape[0] > 1,
        ),
        nn.Conv2D(2 * shape[0], kernel, 1, "same", nn.Normal(0.5), nn.Normal(0.3), "auto", shape[0]),
        nn.MaxPool2D(kernel, stride, padding),
        nn.LocalResponseNorm(draw(st.integers(0, 3)), 1.0, 0.5, draw(st.sampled_from([0.75, 0.5]))),
        nn.AveragePool2D(kernel, stride, padding),
        nn.GlobalAveragePool2D(),
        nn.GroupNorm(draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[0] % g == 0])), 0.1, *SPREAD),
        draw(st.sampled_from(ACTIVATIONS)),
        nn.ReLU(),
    ]
    return draw(st.sampled_from(choices + [Gains(), PassOn()] * own + [nn.Dropout(0.4)] * dropout))


@st.composite
def residuals(draw, shape, own=True, dropout=False):
    """A residual block for images of `shape`: a few layers, and around them nothing or whatever makes that shape."""
    body, inside = [], shape
    for _ in range(draw(st.integers(1, 3))):
        body.append(draw(image_layers(inside, own, dropout)))
        inside = body[-1].output_shape(inside)
    if inside == shape and draw(st.booleans()):
        return nn.Residual(body)
    body.append(nn.Conv2D(shape[0], 1, weight=nn.Normal(0.5), bias=nn.Normal(0.3)))
    around = draw(image_layers(shape, own, dropout))
    if around.output_shape(shape) == body[-1].output_shape(inside):
        return nn.Residual(body, around)
    return nn.Residual([*body, nn.Tanh()], [*body])


@st.composite
def networks(draw, own=True, dropout=False):
    """A random network: up to five layers on images, up to four on vectors, a Dense at the end."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 9, 9))
    layers: list[nn.Layer] = []
    inside = shape
    for _ in range(draw(st.integers(0, 5))):
        layers.append(draw(st.one_of(image_layers(inside, own, dropout), residuals(inside, own, dropout))))
        inside = layers[-1].output_shape(inside)
    layers.append(nn.Flatten())
    simple = [
        nn.ReLU(),
        draw(st.sampled_from(ACTIVATIONS)),
        nn.Flatten(),
        nn.LayerNorm(0.1, *SPREAD),
        nn.Dense(5, nn.Glorot(), nn.Normal(0.3)),
        nn.Dense(5, nn.Glorot(), nn.Normal(0.3), standardized=prod(inside) > 1),
    ]
    simple += [Gains(), PassOn()] * own + [nn.Dropout(0.4)] * dropout
    layers += draw(st.lists(st.sampled_from(simple), max_size=4))
    return nn.Sequential([*layers, nn.Dense(4, nn.Glorot(), nn.Normal(0.3))], shape)


def _along(gain, x):
    return gain if x.ndim == 4 else gain[:, None]
