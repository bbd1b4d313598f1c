"""State dicts of PyTorch: the weights of a network as its modules keep them, and back.

There a convolution's weight is (filters, C / groups, kernel, kernel), a dense layer's (units, D), and a gain is called
`weight`. All else is as here, also the order of a flattened image's features. What is not: a convolution of stride 2
with padding "same" has its odd pixel behind the image, as in TensorFlow, and `torch.nn.Conv2d(..., padding=1)` has one
on each side; so such modules compute something else of the same weights, unless a `torch.nn.ZeroPad2d` pads for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import StructureError
from nnlite.nn import Composite, Conv2D, Dense, Layer, Sequential
from nnlite.nn.architecture import Architecture
from nnlite.nn.parameters import Shape

Vector = NDArray[np.float32]
State = dict[str, Vector]
KEYS = {"gain": "weight"}  # what is called otherwise there
AXES = {(Conv2D, "weight"): (3, 2, 0, 1), (Dense, "weight"): (1, 0)}  # of our tensors, in PyTorch's order
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Learned:
    """A tensor of a network: its name and shape here; the key of its module, its shape and the order of axes there."""

    name: str
    shape: Shape
    module: str  #: "residual1.conv1"
    key: str
    axes: tuple[int, ...]

    @property
    def there(self) -> Shape:
        """The shape there."""
        return tuple(self.shape[axis] for axis in self.axes)


def to_torch_state(network: Sequential, weights: Vector, like: Mapping[str, Any] | None = None) -> State:
    """The weights (P,) as arrays for `load_state_dict`, once each went through `torch.from_numpy`.

    Their names are those of the layers, ``residual1.conv1.weight``, or those of `like`, the state dict of a module
    whose layers that learn come in the same order: ``module.state_dict()``. Raises StructureError when it has others.
    """
    views = network.layout.views(weights)
    state: State = {}
    for one, key in _paired(network, None if like is None else _shapes(like)):
        if key is not None:
            state[key] = np.ascontiguousarray(views[one.name].transpose(one.axes), np.float32)
        elif views[one.name].any():
            raise StructureError(f"{one.name} is not zero, and the module that it goes to has no {one.key}")
    return state


def from_torch_state(network: Sequential, state: Mapping[str, Any]) -> Vector:
    """The weights (P,) of a network from the state dict of a module: of tensors or arrays.

    Its names are those that `to_torch_state` gives, or any others whose modules come in the order of the network's
    layers. A bias that it does not have is zero. Raises StructureError when it has other tensors.
    """
    vector = network.empty()
    views = network.layout.views(vector)
    for one, key in _paired(network, _shapes(state)):
        if key is not None:
            views[one.name][...] = _array(state[key], key).transpose(np.argsort(one.axes))
    return vector


def _learned(of: Architecture, prefix: str = "") -> Iterator[Learned]:
    for name, layer, shape, parameters in zip(of.names, of.layers, of.input_shapes, of.parameters, strict=True):
        place = prefix + name
        if isinstance(layer, Composite):
            for row, inside in layer.architectures(shape).items():
                yield from _learned(inside, f"{place}/{row}/" if row else f"{place}/")
        else:
            for key, one in parameters.items():
                yield Learned(
                    f"{place}/{key}",
                    one.shape,
                    place.replace("/", "."),
                    KEYS.get(key, key),
                    _axes(layer, key, one.shape),
                )


def _axes(layer: Layer, key: str, shape: Shape) -> tuple[int, ...]:
    return AXES.get((type(layer), key), tuple(range(len(shape))))


def _paired(network: Sequential, there: Mapping[str, Shape] | None) -> list[tuple[Learned, str | None]]:
    """Each tensor of a network with its key in a state of those shapes; None for a bias that is not there."""
    learned = list(_learned(network.architecture))
    named = {f"{one.module}.{one.key}": one for one in learned}
    if there is None:
        return [(one, key) for key, one in named.items()]
    _refuse_statistics(there)
    modules = named.keys() != there.keys()
    pairs = _in_order(learned, there) if modules else [(one, key) for key, one in named.items()]
    for one, key in pairs:
        if key is not None and there[key] != one.there:
            raise StructureError(
                f"the state has {key} {there[key]}, and the network wants {one.there} for its {one.name} {one.shape}: "
                "modules must come in the order of the layers"
            )
    return list(pairs)


def _in_order(learned: list[Learned], there: Mapping[str, Shape]) -> list[tuple[Learned, str | None]]:
    """Module by module, as they come."""
    theirs = list(dict.fromkeys(key.rpartition(".")[0] for key in there))
    ours = list(dict.fromkeys(one.module for one in learned))
    if len(ours) != len(theirs):
        raise StructureError(
            f"the state has {len(theirs)} modules with tensors ({', '.join(theirs):.80}), the network {len(ours)} "
            f"layers ({', '.join(ours):.80}): wanted as many"
        )
    module_of = dict(zip(ours, theirs, strict=True))
    wanted = {(f"{module_of[one.module]}." if module_of[one.module] else "") + one.key: one for one in learned}
    unknown = next((key for key in there if key not in wanted), None)
    missing = next((key for key, one in wanted.items() if key not in there and one.key != "bias"), None)
    if unknown or missing:
        problem = f"the state has {unknown}" if unknown else f"the state has no {missing}"
        raise StructureError(f"{problem}, which is another layer than the network's {', '.join(ours):.80}")
    return [(one, key if key in there else None) for key, one in wanted.items()]


def _refuse_statistics(there: Mapping[str, Shape]) -> None:
    statistic = next((key for key in there if key.rpartition(".")[2] in STATISTICS), None)
    if statistic is not None:
        raise StructureError(
            f"the state has {statistic}, of a batch normalization, which no layer of nnlite is: train with a GroupNorm"
        )


def _shapes(state: Mapping[str, Any]) -> dict[str, Shape]:
    return {key: tuple(np.shape(value)) for key, value in state.items()}


def _array(value: Any, key: str) -> NDArray[np.floating[Any]]:
    """A tensor of PyTorch, on any device and of any precision, or an array."""
    array: NDArray[Any] = np.asarray(value.detach().float().cpu().numpy() if hasattr(value, "detach") else value)
    if array.dtype.kind != "f":
        raise StructureError(f"the state has {key} of {array.dtype}; wanted floating-point numbers")
    return array
