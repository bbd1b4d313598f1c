"""A workload to forecast: a case on a dataset of its official size, whose files nobody has to have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite import cases, data, nn
from nnlite.cost import prices
from nnlite.data import catalog
from nnlite.protocol import protocols
from nnlite.protocol.records.spec import DataSpec, Rates, RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runtime.trainer import State
from nnlite.simulation.forecast import Subject

SHAPES = {"mnist": (1, 28, 28), "sample": (1, 28, 28), "emnist": (1, 28, 28), "cifar": (3, 32, 32), "bits": (20,)}


def rates(store: str, memory_mb: int) -> Rates:
    """List prices of AWS in us-east-1: Lambda on x86, and S3. A memcached costs by the hour, not by the request."""
    return Rates() if store == "file" else prices.tariff("us-east-1").of_store(f"{store}://").rates(memory_mb)


@dataclass(frozen=True)
class Workload:
    """A case on a dataset of its official size."""

    case: cases.Case
    optimizer: nn.Optimizer
    batch_size: int
    num_train: int
    num_test: int
    input_shape: tuple[int, ...]
    num_classes: int
    dataset: str
    value_bytes: int = 1  #: of a pixel; 4 of other numbers

    @classmethod
    def of_case(cls, name: str, dataset: str | None = None, batch_size: int | None = None) -> Workload:
        """A case by name or file, on its dataset or another; no file of the dataset is needed."""
        case, _ = cases.find(name)
        chosen = dataset or case.dataset
        if callable(chosen) or cases.names_path(chosen):
            rows = cases.dataset(case, dataset)
            case = cases.suited(case, rows)
            size = rows.train.x.itemsize
            about = (len(rows.train), len(rows.test), rows.input_shape, rows.num_classes, rows.name, size)
        else:
            known = catalog.entry(chosen)
            about = (*known.official, SHAPES[known.kind], known.num_classes, chosen, 1)
        return cls(case, case.optimizer, case.batch_size if batch_size is None else batch_size, *about)

    def network(self) -> nn.Sequential:
        """The case's network for that dataset."""
        few = data.Split(np.zeros((1, *self.input_shape), np.uint8), np.ones(1, np.uint8))
        return cases.network(self.case, data.Dataset(self.dataset, few, few, self.num_classes, (), (0.5,), (0.25,)))

    def subject(self, protocol: str) -> Subject:
        """How large its weights and rows are; averaging shares the optimizer's slots as well."""
        state = State(self.network(), self.optimizer, shares_slots=protocols.named(protocol).shares_slots)
        return Subject(state.vector.size, int(np.prod(self.input_shape)) * self.value_bytes)

    def spec(self, num_workers: int, tree_widths: tuple[int, ...] | None = None, **more: Any) -> RunSpec:
        """The specification of a run of it."""
        return RunSpec(
            run="simulated",
            case=self.case.name,
            num_workers=num_workers,
            tree_widths=Tree.for_workers(num_workers, tree_widths).widths,
            batch_size=self.batch_size,
            network={},
            optimizer={},
            data=DataSpec(self.dataset, "0" * 64, self.num_train, self.num_test, (0.0,), (1.0,)),
            **{
                "seed": 0,
                "lease_ttl_s": max(60.0, 2.0 * num_workers),
                "straggler_timeout_s": max(30.0, 1.0 * num_workers),
                **more,
            },
        )
