"""The same steps in PyTorch: as a user writes them, and tuned by hand. PyTorch is imported when a step is made."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tools.bench.workload import DENSE, LEARNING_RATE, Workload


def version() -> str:
    """Name and version of the peer."""
    import torch

    return f"torch {torch.__version__}"


def make(workload: Workload, variant: str) -> Callable[[], object]:
    """One step of training with SGD. `variant` "tuned": channels_last, and LRN as a convolution of 1x1."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(workload.threads)
    torch.manual_seed(0)
    tuned = variant == "tuned"
    x, y = (torch.from_numpy(array) for array in workload.samples())
    network = cifar_cnn(tuned) if workload.case == "b" else _dense(workload.case)
    if tuned and workload.case == "b":
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)

    def step() -> float:
        optimizer.zero_grad()
        outputs = network(x)
        if workload.case == "a":
            loss = 0.5 * ((outputs[:, 0] - y) ** 2).mean()
        else:
            loss = functional.cross_entropy(outputs, y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _dense(case: str) -> Any:
    from torch import nn

    sizes, activation, rate = DENSE[case]
    modules: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        modules.append(nn.Linear(inputs, outputs))
        if index < len(sizes) - 2 or case == "a":
            modules.append(nn.Tanh() if activation == "tanh" else nn.ReLU())
        if rate and index == 0:
            modules.append(nn.Dropout(rate))
    return nn.Sequential(*modules)


def cifar_cnn(tuned: bool) -> Any:
    """Case b, as a module."""
    from torch import nn

    class LRN(nn.Module):
        """Local response normalization, as shipped or by hand."""

        forward = staticmethod(_lrn_by_convolution() if tuned else _lrn)

    def convolution(channels: int) -> list[nn.Module]:
        return [nn.Conv2d(channels, 64, 5, padding=2), nn.ReLU()]

    return nn.Sequential(
        *convolution(3), nn.MaxPool2d(3, 2, ceil_mode=True), LRN(),
        *convolution(64), LRN(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(), nn.Linear(4096, 384), nn.ReLU(), nn.Linear(384, 192), nn.ReLU(), nn.Linear(192, 10),
    )  # fmt: skip


def _lrn(x: Any) -> Any:
    from torch.nn import functional

    return functional.local_response_norm(x, 9, alpha=0.001, beta=0.75, k=1.0)


def _lrn_by_convolution() -> Callable[[Any], Any]:
    """The sum over neighbours as a convolution of 1x1 with a band, and s**-0.75 by roots."""
    import torch
    from torch.nn import functional

    channels = torch.arange(64)
    near = (channels[:, None] - channels).abs() <= 4
    band = (near * (0.001 / 9)).reshape(64, 64, 1, 1)

    def lrn(x: torch.Tensor) -> torch.Tensor:
        root = torch.rsqrt(functional.conv2d(x * x, band) + 1.0)
        return x * (root * torch.sqrt(root))

    return lrn
