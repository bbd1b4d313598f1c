"""Values of the simulated store, which may stand for larger ones: so that 10,000 workers fit into one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SMALLEST = 8  # bytes of a weights file, which begins with the length of its header


@dataclass(frozen=True)
class Stored:
    """A value in the simulated store, as `effects.Found`."""

    data: bytes
    version: int
    num_bytes: int = 0  #: that it stands for


@dataclass(frozen=True)
class Scale:
    """What the small weights of a simulation stand for: as many bytes as the real network's."""

    toy_bytes: int = 1  #: of the small vector
    real_bytes: int = 1

    def num_bytes(self, data: Any) -> int:
        """How long the real value would be: whatever follows a weights file's header is scaled up.

        So an update that travels in fewer bytes than its vector has is smaller here by the same factor.
        """
        size = len(data)
        if self.real_bytes == self.toy_bytes or size < SMALLEST:
            return size
        body = size - SMALLEST - int.from_bytes(data[:SMALLEST], "little")
        # JSON, read as a length, is far longer than anything
        return size if body < 0 else size - body + body * self.real_bytes // self.toy_bytes


def short(value: Any) -> str:
    """A value, or anything else, as words of a story."""
    if isinstance(value, Stored):
        return f"{len(value.data)} bytes, version {value.version}"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
