"""Rows of layers inside a layer: planned for a shape, and at work on a block of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnlite.nn.architecture import Architecture
from nnlite.nn.engine.chain import Chain
from nnlite.nn.engine.order import plan
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape


class Row:
    """A row of layers for inputs of one shape: its steps, and where their parameters stand among the outer layer's."""

    def __init__(self, name: str, layers: Sequence[Layer], shape: Shape):
        architecture = Architecture.of(layers, shape)
        self.name = name
        self.steps = plan(architecture.layers, architecture.input_shapes)
        self.learns = [architecture.learns[step.owner] for step in self.steps]
        outer = f"{name}/" if name else ""
        self._prefixes = [f"{outer}{architecture.names[step.owner]}/" for step in self.steps]
        self._prepared: list[list[str]] = [[] for _ in self.steps]  # names that each step's `prepare` returned

    def prepare(self, p: Tensors, workspaces: Sequence[Workspace]) -> dict[str, Tensor]:
        """What all steps prepare, by the names of the outer layer."""
        prepared = {}
        for index, (step, prefix, ws) in enumerate(zip(self.steps, self._prefixes, workspaces, strict=True)):
            own = {name.removeprefix(prefix): p[name] for name in p if name.startswith(prefix)}
            made = step.layer.prepare(own, ws)
            self._prepared[index] = list(made)
            prepared.update({prefix + name: tensor for name, tensor in made.items()})
        return prepared

    def collect(self, d: Tensors, g: Tensors, workspaces: Sequence[Workspace]) -> None:
        """Turn gradients with respect to what was prepared into those of the parameters."""
        for step, prefix, own, ws in zip(self.steps, self._prefixes, self.of_steps(d), workspaces, strict=True):
            step.layer.collect(own, {n.removeprefix(prefix): g[n] for n in g if n.startswith(prefix)}, ws)

    def names(self) -> list[str]:
        """What `prepare` returned last."""
        return [prefix + name for prefix, names in zip(self._prefixes, self._prepared, strict=True) for name in names]

    def of_steps(self, tensors: Tensors) -> list[dict[str, Tensor]]:
        """Those of the outer layer's prepared tensors, or their gradients, that belong to each step."""
        return [
            {name: tensors[prefix + name] for name in names if prefix + name in tensors}
            for prefix, names in zip(self._prefixes, self._prepared, strict=True)
        ]


class Inner:
    """A row at work: its chain and memory, for the block of samples of the outer layer's workspace `ws`."""

    def __init__(self, row: Row, ws: Workspace):
        temps: list[dict[Any, Any]] = ws.once(f"scratch of {row.name}", lambda: [{} for _ in row.steps])
        layers = [step.layer for step in row.steps]
        self._row, self._ws = row, ws
        self._chain = Chain(layers, ws.dtype, temps, row.learns, ws.input_gradient)
        for inner in self._chain.workspaces:
            inner.threads = ws.threads
        last = layers[-1] if layers else None
        #: whether the outer layer may write over what `forward` returned
        self.may_overwrite_output = last is not None and not last.needs_output and not last.may_return_input
        self._p: Sequence[Tensors] = []
        self._g: Sequence[Tensors] = []

    def bind(self, p: Tensors, g: Tensors | None = None) -> None:
        """Use these prepared parameters, and write gradients there, from now on."""
        self._p, self._g = self._row.of_steps(p), self._row.of_steps(g or {})

    def forward(self, x: Tensor) -> Tensor:
        """The output of the row's last layer."""
        return self._chain.forward(self._p, x, self._ws.training, self._ws.rng)

    def backward(self, dy: Tensor) -> Tensor | None:
        """Write the gradients of the row's parameters; return dx, or None where `ws.input_gradient` is False. dy may be
        overwritten."""
        return self._chain.backward(self._p, self._g, dy)


Rows = Mapping[str, Row]
