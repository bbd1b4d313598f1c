"""Our own steps: training, and predicting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnlite import nn
from nnlite.nn import models
from tools.bench.workload import LEARNING_RATE, Workload


def version() -> str:
    """What it stands on."""
    return f"numpy {np.__version__}"


def make(workload: Workload, variant: str) -> Callable[[], object]:
    """One step of training with SGD. `variant` "im2col": without Winograd."""
    network = _network(workload, variant)
    x, y = workload.samples()
    weights, gradient = network.init(np.random.default_rng(0)), network.empty()
    optimizer, rng = nn.SGD(LEARNING_RATE), np.random.default_rng(0)
    slots = optimizer.slots(weights.size)

    def step() -> float:
        loss = network.loss_and_gradient(weights, x, y, out=gradient, rng=rng)
        optimizer.step_inplace(weights, gradient, slots, 0, network.layout)
        return loss

    return step


def _network(workload: Workload, variant: str) -> nn.Sequential:
    shape = workload.samples()[0].shape[1:]
    models_by_case: dict[str, Callable[..., nn.Sequential]] = {
        "a": models.bits_mlp,
        "b": models.cifar_cnn,
        "c": models.mlp,
        "emnist": models.emnist_mlp,
    }
    config = models_by_case[workload.case](shape).config()
    if variant == "im2col":
        for layer in config["layers"]:
            if layer["is"] == "Conv2D":
                layer["algorithm"] = "im2col"
    return nn.Sequential.from_config(config, threads=workload.threads)
