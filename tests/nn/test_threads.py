"""Threads that run a network's blocks."""

import threading

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn import models
from nnlite.nn.engine.threads import Threads


def test_every_thread_has_its_turn():
    seen = []
    Threads(3)(seen.append)
    assert sorted(seen) == [0, 1, 2]


def test_one_thread_is_the_caller():
    seen = []
    Threads(1)(lambda _: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


@pytest.mark.parametrize("culprit", [0, 1, 2])
def test_an_error_comes_out_after_the_others_have_ended(culprit):
    ended = []

    def work(thread):
        if thread == culprit:
            raise ZeroDivisionError
        ended.append(thread)

    with pytest.raises(ZeroDivisionError):
        Threads(3)(work)
    assert len(ended) == 2


@pytest.mark.parametrize("num_samples", [1, 3, 20])
def test_the_same_gradient_with_threads(num_samples):
    rng = np.random.default_rng(0)
    one = models.cifar_cnn((3, 12, 12), 4)
    two = nn.Sequential.from_config(one.config(), threads=2)
    weights = one.init(rng).astype(np.float64)
    x, y = rng.random((num_samples, 3, 12, 12)), rng.integers(0, 4, num_samples)
    gradients = [np.full_like(weights, np.nan) for _ in range(2)]
    losses = [n.loss_and_gradient(weights, x, y, out=g) for n, g in zip((one, two), gradients, strict=True)]
    assert losses[0] == pytest.approx(losses[1])
    np.testing.assert_allclose(*gradients, rtol=1e-9, atol=1e-14)
    assert one.config() == two.config()


def test_no_threads_at_all():
    with pytest.raises(StructureError, match="threads = 0"):
        nn.Sequential([nn.Dense(2)], (3,), threads=0)
