"""How much memory a warm training step makes."""

import tracemalloc

import numpy as np

from nnlite import nn

SMALL_BYTES = 16_000  # views, slices, a few numbers a sample; the smallest activation below is larger


def warm_peak_bytes(step) -> int:
    """How far the memory of a step rises above what was there before it, at its worst.

    Without the buffers in which ufuncs collect numbers that lie apart (8192 of each operand, if not told else).
    """
    step()
    step()
    usual = np.setbufsize(16)
    tracemalloc.start()
    try:
        step()  # tracemalloc's own first use
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
        np.setbufsize(usual)


def training_step(network, num_samples, optimizer=nn.SGD(0.01)):  # noqa: B008 - a frozen value
    rng = np.random.default_rng(0)
    weights, gradient = network.init(rng), network.empty()
    slots = optimizer.slots(weights.size)
    x = rng.random((num_samples, *network.input_shape), np.float32)
    if isinstance(network.loss, nn.HalfSquaredError):
        y = np.ones(num_samples, np.float32)
    else:
        y = rng.integers(0, network.output_shape[0], num_samples)

    def step():
        network.loss_and_gradient(weights, x, y, out=gradient, rng=rng)
        optimizer.update_inplace(weights, gradient, slots, 0)

    return step
