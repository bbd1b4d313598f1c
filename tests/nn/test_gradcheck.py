"""The gradient check itself: it accepts what is right, refuses what is wrong, and says where."""

from dataclasses import dataclass

import numpy as np
import pytest

from nnlite import nn
from tests.nn.helpers import Gains, batch_for


@dataclass(frozen=True)
class WrongInput(Gains):
    """Off by a thousandth in dx."""

    def backward(self, p, g, x, y, dy, ws):
        return super().backward(p, g, x, y, dy, ws) * 1.001


@dataclass(frozen=True)
class WrongParameter(Gains):
    """Off in one entry of one parameter's gradient."""

    def backward(self, p, g, x, y, dy, ws):
        dx = super().backward(p, g, x, y, dy, ws)
        g["gain"][2] += 0.5
        return dx


@dataclass(frozen=True)
class NoInputGradient(Gains):
    """Forgets dx."""

    def backward(self, p, g, x, y, dy, ws):
        super().backward(p, g, x, y, dy, ws)


SHAPES = [(4,), (4, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_that_is_right(shape):
    assert nn.check_layer(Gains(), shape, np.random.default_rng(0)).relative_error < 1e-8


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_whose_input_gradient_is_wrong(shape):
    check = nn.check_layer(WrongInput(), shape, np.random.default_rng(0))
    assert 1e-5 < check.relative_error < 1e-2
    assert check.worst.startswith("x[")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_whose_parameter_gradient_is_wrong(shape):
    check = nn.check_layer(WrongParameter(), shape, np.random.default_rng(0))
    assert check.worst == "gain[2]"
    assert check.analytic - check.numeric == pytest.approx(0.5, rel=1e-6)
    assert "gain[2]" in str(check)


def test_a_layer_that_returns_no_input_gradient():
    with pytest.raises(TypeError, match=r"NoInputGradient\.backward returned no dx"):
        nn.check_layer(NoInputGradient(), (4,), np.random.default_rng(0))


def test_a_network_names_the_wrong_entry():
    network = nn.Sequential([nn.Dense(5), WrongParameter(), nn.Dense(3)], (4,))
    rng = np.random.default_rng(0)
    check = nn.check_network(network, *batch_for(network, 3, rng), rng)
    assert check.relative_error > 1e-3
    assert check.worst == "wrongparameter1/gain[2]"


def test_a_check_changes_neither_weights_nor_samples():
    network = nn.Sequential([nn.Dense(3)], (4,))
    rng = np.random.default_rng(0)
    weights = network.init(rng)
    x, y = batch_for(network, 3, rng)
    before = weights.copy(), x.copy()
    nn.check_network(network, x, y, rng, weights=weights)
    assert np.array_equal(weights, before[0])
    assert np.array_equal(x, before[1])
