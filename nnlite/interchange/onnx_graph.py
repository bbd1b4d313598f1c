"""The graph of an ONNX file while it is made: nodes in the order in which they run, and constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Graph:
    """Nodes and constants so far. `helper` and `numpy_helper` are onnx's; a value is known by its name."""

    def __init__(self, helper: Any, numpy_helper: Any):
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._helper, self._numpy_helper = helper, numpy_helper

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Apply an operator to values. -> the name of what it makes, its own if none is given."""
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """A tensor. -> its name, with a number where another has it already."""
        known = {one.name for one in self.constants}
        unique = next(one for one in (name, *(f"{name}_{n}" for n in range(len(known) + 1))) if one not in known)
        self.constants.append(self._numpy_helper.from_array(np.ascontiguousarray(value, dtype), unique))
        return unique
