"""Where the windows of a convolution or a pooling lie along one axis."""

from __future__ import annotations

from dataclasses import dataclass

from nnlite.errors import StructureError

PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class Window:
    """Windows of `kernel` entries every `stride` entries, over `size` entries with `before`/`after` padding.

    "same" gives ceil(size / stride) windows and pads as evenly as can be, the odd one behind (as TensorFlow
    does; PyTorch's `ceil_mode` when nothing is padded in front); "valid" pads nothing.
    """

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    count: int  #: number of windows

    @classmethod
    def along(cls, size: int, kernel: int, stride: int, padding: str, what: str, dilation: int = 1) -> Window:
        """The windows of one axis, as wide as a kernel whose entries are `dilation` apart. Raises StructureError when
        there is none."""
        if dilation < 1:
            raise StructureError(f"{what}: dilation {dilation}; wanted at least 1")
        if kernel < 1 or stride < 1 or padding not in PADDINGS:
            raise StructureError(
                f"{what}: kernel {kernel}, stride {stride}, padding {padding!r}; wanted kernel and stride of at "
                f"least 1 and a padding of {' or '.join(PADDINGS)}"
            )
        kernel = (kernel - 1) * dilation + 1
        if padding == "valid":
            count = (size - kernel) // stride + 1
            if count < 1:
                raise StructureError(f"{what}: a kernel of {kernel} does not fit into {size} without padding")
            return cls(size, kernel, stride, 0, 0, count)
        count = -(-size // stride)
        pad = max(0, (count - 1) * stride + kernel - size)
        return cls(size, kernel, stride, pad // 2, pad - pad // 2, count)

    @property
    def padded(self) -> int:
        """Entries of the axis with its padding."""
        return self.before + self.size + self.after

    def meeting(self, offset: int) -> tuple[slice, slice]:
        """For entry `offset` of every window: (which windows have a real entry there, those entries)."""
        first = max(0, -(-(self.before - offset) // self.stride))
        last = min(self.count - 1, (self.size - 1 + self.before - offset) // self.stride)
        if last < first:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + offset - self.before
        stop = last * self.stride + offset - self.before + 1
        return slice(first, last + 1), slice(start, stop, self.stride)

    def lane(self, lane: int, lanes: int) -> tuple[slice, slice]:
        """When the padded axis is sorted by index modulo `lanes`: (where in this lane there is no padding, which
        entries are there)."""
        first = (lane - self.before) % lanes
        start = (first + self.before) // lanes
        return slice(start, start + len(range(first, self.size, lanes))), slice(first, self.size, lanes)


def side_by_side(entries: slice, size: int) -> slice:
    """Where `entries`, of which only every step-th is taken, lie side by side when an axis of `size` entries is
    sorted by index modulo that step."""
    start = entries.start % entries.step * (size // entries.step) + entries.start // entries.step
    return slice(start, start + len(range(entries.start, entries.stop, entries.step)))
