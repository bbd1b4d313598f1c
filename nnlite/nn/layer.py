"""What a layer is: hyper-parameters, shapes, and two functions of arrays that the caller owns.

Inside a network the features come first and samples last, so that every operation has long contiguous runs:

- images travel in blocks ``(H, W, n, C)``,
- vectors travel as ``(D, N)``.

(Outside, in `Sequential`'s methods, images are ``(N, C, H, W)`` and vectors ``(N, D)``.)

A layer of one's own is a frozen dataclass with `forward` and `backward`; `gradcheck.check_layer` tells
whether they agree, and whether it keeps what its class promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlite.described import Described
from nnlite.nn.engine.threads import Threads
from nnlite.nn.initializers import Initializer
from nnlite.nn.parameters import Shape, aligned_empty, aligned_zeros

if TYPE_CHECKING:
    from nnlite.nn.engine.rows import Inner

Tensor = NDArray[Any]
Tensors = Mapping[str, Tensor]
T = TypeVar("T")
COMPUTATIONS = ("forward", "backward", "combine", "combine_backward")  #: what a layer defines
PROMISES = ("needs_input", "needs_output", "in_place", "increasing", "takes_maximum")  #: on which a network relies


@dataclass(frozen=True)
class Parameter:
    """One tensor that a layer learns: its shape, how it starts, its fans for the initializer, and whether an
    optimizer's weight decay is meant for it (a bias or a gain has no reason to be small)."""

    shape: Shape
    initializer: Initializer
    fan_in: int = 1
    fan_out: int = 1
    decays: bool = True


class Workspace:
    """The memory of one layer for one block of samples, made on first use and the same ever after.

    `keep` is for what `backward` needs of its own `forward`: one array for every block. `temp` is for what is
    dead when the call returns: one array for all blocks that the same thread runs.
    """

    def __init__(self, dtype: DTypeLike, temps: dict[Any, Any]):
        self.dtype = np.dtype(dtype)
        self.training = True  #: False while predicting: nothing need be kept
        self.input_gradient = True  #: False when nobody wants dx: `backward` may return None
        self.may_overwrite_input = False  #: True when x is nobody's but this layer's
        self.output_is_kept = True
        self.rng: np.random.Generator | None = None  #: of this step, for layers that draw
        self.threads = Threads(1)  #: on which a layer may run its own work
        self._kept: dict[Any, Any] = {}
        self._temps = temps
        self._inner: dict[str, Inner] = {}

    def keep(self, name: str, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        """An array of this block that survives until `backward`; the same memory every step."""
        return self._array(self._kept, name, shape, dtype, aligned_empty)

    def temp(self, name: str, shape: Shape, dtype: DTypeLike | None = None, *, zeroed: bool = False) -> Tensor:
        """Scratch; `zeroed` memory is cleared once, when it is made, not at every call."""
        return self._array(self._temps, name, shape, dtype, aligned_zeros if zeroed else aligned_empty)

    def output(self, shape: Shape) -> Tensor:
        """The array for what `forward` returns: kept when somebody's `backward` will read it."""
        return (self.keep if self.output_is_kept else self.temp)("output", shape)

    def contiguous(self, name: str, array: Tensor) -> Tensor:
        """The array itself if it is contiguous, as a product wants it, else a copy in scratch memory of that name."""
        if array.flags.c_contiguous:
            return array
        copy = self.temp(f"{name}, contiguous", array.shape, array.dtype)
        np.copyto(copy, array)
        return copy

    def once(self, name: str, make: Callable[[], T]) -> T:
        """A constant of the layer (a band matrix, a strided view), made at the first call."""
        if name not in self._temps:
            self._temps[name] = make()
        value: T = self._temps[name]
        return value

    def ones(self, count: int) -> Tensor:
        """(count,) ones: a product with them is a sum, and BLAS sums several times as fast as `np.sum`."""
        return self.once(f"{count} ones", lambda: np.ones(count, self.dtype))

    def inner(self, name: str) -> Inner:
        """A row of layers of a `Composite`, at work on this block: has `forward(x)` and `backward(dy)`."""
        return self._inner[name]

    def add_inner(self, name: str, make: Callable[[], Inner]) -> Inner:
        """The row of that name, made at the first call."""
        if name not in self._inner:
            self._inner[name] = make()
        return self._inner[name]

    def _array(
        self, where: dict[Any, Any], name: str, shape: Shape, dtype: DTypeLike | None, make: Callable[..., Any]
    ) -> Tensor:
        key = (name, shape)
        array: Tensor | None = where.get(key)
        if array is None:
            array = where[key] = make(shape, dtype or self.dtype)
        return array


class Layer(Described):
    """Base class. A layer holds hyper-parameters only: weights come from the vector, memory from a workspace.

    Shapes of one sample are ``(C, H, W)`` or ``(D,)``.
    """

    needs_input: ClassVar[bool] = True  #: backward reads the x of its forward
    needs_output: ClassVar[bool] = True  #: backward reads the y of its forward
    in_place: ClassVar[bool] = False  #: forward puts y where x was, if ws.may_overwrite_input
    may_return_input: ClassVar[bool] = False  #: forward may return x itself, so nobody behind may overwrite it
    random: ClassVar[bool] = False  #: forward draws from ws.rng
    increasing: ClassVar[bool] = False  #: works on each number alone and never turns an order round: so max commutes
    takes_maximum: ClassVar[bool] = False  #: every y is the largest of some x of its channel
    whole_batch: ClassVar[bool] = False  #: in training a sample's y depends on the others: for vectors alone
    whole_numbers: ClassVar[bool] = False  #: x are whole numbers and have no gradient: before it nothing learns
    is_root: ClassVar[bool] = True  #: of a class itself: it computes nothing, its subclasses say what

    def __init_subclass__(cls, **options: Any) -> None:
        """What a layer promises of its forward and backward does not hold for those that a subclass puts in their
        place: there it is promised anew, or not at all. Nor do the steps of the one compute what the other does."""
        super().__init_subclass__(**options)
        computes = [base for base in cls.__mro__ if any(name in vars(base) for name in COMPUTATIONS)]
        if computes[0] is not cls or "is_root" in vars(computes[1]):
            return
        nearer = cls.__mro__[: cls.__mro__.index(computes[1])]
        defines_all = "forward" in vars(cls) or "backward" in vars(cls)
        root = Layer if defines_all else next(base for base in computes if "is_root" in vars(base))
        for name in (*PROMISES, "steps"):
            if not any(name in vars(base) for base in nearer):
                setattr(cls, name, getattr(root, name))

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one output sample for one input sample of `shape`. Raises StructureError if it cannot be."""
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """What this layer learns for inputs of `shape`, in the order in which it lies in the vector."""
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """Products of weights and inputs that are summed up for one sample of `shape`, forward, by definition: whatever
        an algorithm may save. 0 where there is no sum of products."""
        return 0

    def steps(self, shape: Shape) -> Sequence[Layer]:
        """What to run in a row in place of this layer on images of `shape`; the steps share its parameters."""
        return (self,)

    def inside(self) -> Mapping[str, Sequence[Layer]]:
        """The rows of layers, by name, that this layer is made of: see `Composite`."""
        return {}

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        """The parameters that a step on images uses, in the form it wants: made once, before a minibatch
        passes block by block. Its backward writes gradients with respect to those that have a parameter's name."""
        return p

    def collect(self, d: Tensors, g: Tensors, ws: Workspace) -> None:
        """Turn `d`, the sum over all blocks of gradients with respect to what `prepare` returned, into `g`."""
        for name, tensor in d.items():
            np.copyto(g[name], tensor)

    def draw_input(self, shape: Shape, rng: np.random.Generator) -> Tensor:
        """Some x float64 of that shape, as this layer has it inside a network, to try the layer with."""
        return rng.standard_normal(shape)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        """y for a block x. `p` are this layer's parameters by name."""
        raise TypeError(f"{type(self).__name__} must define forward()")

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        """Write (not add) this block's parameter gradients into `g` and return dx.

        x and y are those of the same block's forward, and sound only if `needs_input` / `needs_output` say so.
        dy may be overwritten.
        """
        raise TypeError(f"{type(self).__name__} must define backward()")


def says(layer: Layer, what: str) -> bool:
    """Whether a layer, or a layer inside it, declares `what`: "random", "whole_batch"."""
    rows = layer.inside().values()
    return bool(getattr(layer, what)) or any(says(inner, what) for row in rows for inner in row)
