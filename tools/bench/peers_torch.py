"""The same steps in PyTorch: as a user writes them, and tuned by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from tools.bench.workload import DENSE, LEARNING_RATE, Workload

VERSION = f"torch {torch.__version__}"


def make(workload: Workload, variant: str) -> Callable[[], object]:
    """One step of training with SGD. `variant` "tuned": channels_last, and LRN as a convolution of 1x1."""
    torch.set_num_threads(workload.threads)
    torch.manual_seed(0)
    tuned = variant == "tuned"
    x, y = (torch.from_numpy(array) for array in workload.samples())
    network: nn.Module = CifarCNN(tuned) if workload.case == "b" else _dense(workload.case)
    if tuned and workload.case == "b":
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)

    def step() -> float:
        optimizer.zero_grad()
        outputs = network(x)
        loss = 0.5 * ((outputs[:, 0] - y) ** 2).mean() if workload.case == "a" else functional.cross_entropy(outputs, y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _dense(case: str) -> nn.Module:
    sizes, activation, rate = DENSE[case]
    modules: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        modules.append(nn.Linear(inputs, outputs))
        if index < len(sizes) - 2 or case == "a":
            modules.append(nn.Tanh() if activation == "tanh" else nn.ReLU())
        if rate and index == 0:
            modules.append(nn.Dropout(rate))
    return nn.Sequential(*modules)


class CifarCNN(nn.Module):
    """Case b."""

    def __init__(self, tuned: bool):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 64, 5, padding=2), nn.Conv2d(64, 64, 5, padding=2)
        self.dense1, self.dense2, self.dense3 = nn.Linear(4096, 384), nn.Linear(384, 192), nn.Linear(192, 10)
        channels = torch.arange(64)
        near = (channels[:, None] - channels).abs() <= 4
        self.band = (near * (0.001 / 9)).reshape(64, 64, 1, 1)
        self.lrn = self._lrn_by_convolution if tuned else self._lrn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.lrn(functional.max_pool2d(functional.relu(self.conv1(x)), 3, 2, ceil_mode=True))
        x = functional.max_pool2d(self.lrn(functional.relu(self.conv2(x))), 3, 2, ceil_mode=True)
        x = functional.relu(self.dense1(x.flatten(1)))
        return self.dense3(functional.relu(self.dense2(x)))

    @staticmethod
    def _lrn(x: torch.Tensor) -> torch.Tensor:
        return functional.local_response_norm(x, 9, alpha=0.001, beta=0.75, k=1.0)

    def _lrn_by_convolution(self, x: torch.Tensor) -> torch.Tensor:
        root = torch.rsqrt(functional.conv2d(x * x, self.band) + 1.0)
        return x * (root * torch.sqrt(root))  # s**-0.75
