"""The store: three verbs on keys and bytes, which all coordination is written against.

Every store promises what `tests/store/contract.py` checks:

- A write is atomic. A reader sees the whole old or the whole new value, also when a writer dies half-way.
- Every write gives the key a version that it never had before, also when the bytes are the same and also
  after a delete. (S3 cannot: there it is a hash of the content. So whatever is swapped contains a counter.)
- Of any number of conditional writes with the same condition, one succeeds and all others raise `Conflict`.
- A handle may be used by many threads at once.
"""

import enum
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NewType, TypeVar

from nnlite.errors import NotFound, PartlyUnavailable, StoreUnavailable, UsageError

Version = NewType("Version", str)
"""Opaque: compare two of the same key for equality, and nothing else."""


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""The condition "there is no such key"."""

Buffer = bytes | bytearray | memoryview
Data = Buffer | Sequence[Buffer]
"""What `put` takes: bytes, or parts that are written one after the other without being joined first."""

Condition = Version | Absent | None

MAX_KEY_LENGTH = 200
_SEGMENT = r"[a-z0-9_-][a-z0-9._-]*"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")

T = TypeVar("T")
_S = TypeVar("_S", bound="Store")


@dataclass(frozen=True)
class Versioned:
    """A value and the version it had when it was read."""

    data: bytes
    version: Version


class Store(ABC):
    """Keys and bytes, in memory, in files, or far away. A context manager: leaving it closes it.

    A key must not also be the folder of another ("a" and "a/b"), not even of a deleted one: a store of files
    cannot hold both.
    All methods raise UsageError for a key that `check_key` refuses, and StoreError when the store fails.
    """

    @classmethod
    @abstractmethod
    def from_url(cls, url: str) -> "Store":
        """Open the store at `url`, which has this class' scheme. Raises UsageError if it is malformed."""

    @property
    @abstractmethod
    def url(self) -> str:
        """`open_store(store.url)` opens the same store, also from another process if it can be shared."""

    @abstractmethod
    def get(self, key: str) -> Versioned:
        """The value of a key. Raises NotFound when there is none, and for no other reason."""

    @abstractmethod
    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        """Write a value, atomically.

        if_version: None overwrites, ABSENT creates once, a version swaps the value that has it.
        Raises Conflict when that does not hold; the value is then as it was.
        Returns nothing, as not every store can tell which version it wrote.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a key. No error when there is none."""

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        """The values of many keys, in their order; None for each that is not there. May be parallel.

        As the other verbs for many keys, it raises PartlyUnavailable when some of them got an answer and some did not.
        """
        keys = list(keys)
        values = each(keys, self._get_or_none)
        return [values[key] for key in keys]

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove many keys. May be one request, and when it fails some of them may be gone."""
        each(keys, self.delete)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not there, in their order. May cost less than to read the others.

        The answers of a PartlyUnavailable say of each key whether it is missing.
        """
        gone = each(keys, lambda key: self._get_or_none(key) is None)
        return [key for key, is_gone in gone.items() if is_gone]

    @property
    def place(self) -> str:
        """The URL, and the server that it leads to from here, where that is said elsewhere: what was measured at one
        place is not true of another. Raises StoreError, or UsageError, where none can be found."""
        return self.url

    def forget(self, key: str) -> None:  # noqa: B027 (most stores have no copies)
        """Let go of copies of a value that are nearer than the store: the next `get` asks the store itself."""

    def close(self) -> None:  # noqa: B027 (most stores hold nothing open)
        """Give back what the handle holds open. Closing twice is no error; using it afterwards may be."""

    def __enter__(self: _S) -> _S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _get_or_none(self, key: str) -> Versioned | None:
        try:
            return self.get(key)
        except NotFound:
            return None


def each(keys: Iterable[str], ask: Callable[[str], T]) -> dict[str, T]:
    """What is answered for each key, one after the other, up to the first that gets no answer. Raises PartlyUnavailable
    for it, or the StoreUnavailable itself when it is the first key's."""
    answers: dict[str, T] = {}
    for key in keys:
        try:
            answers[key] = ask(key)
        except StoreUnavailable as error:
            if not answers:
                raise
            raise PartlyUnavailable(str(error), answers) from error
    return answers


def check_key(key: str) -> str:
    """The key itself, or UsageError if it is not `[a-z0-9._/-]{1,200}` with sound segments.

    A segment, what stands between slashes, is not empty and does not begin with a dot: so no key can leave
    the store's folder, nor meet the files that a store keeps for itself.
    """
    if not isinstance(key, str) or len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise UsageError(
            f"{repr(key)[:240]} is not a key: expected 1 to {MAX_KEY_LENGTH} characters of [a-z0-9._/-], "
            "without an empty segment or one that begins with a dot; rename it"
        )
    return key


def buffers(data: Data) -> list[memoryview]:
    """The parts of `data` as flat views of bytes, none of them copied unless it is not contiguous."""
    parts = [data] if isinstance(data, (bytes, bytearray, memoryview)) else data
    is_sequence = isinstance(parts, Sequence) and not isinstance(parts, str)
    if not is_sequence or not all(isinstance(part, (bytes, bytearray, memoryview)) for part in parts):
        raise UsageError(f"expected bytes, or a sequence of bytes, to store; found {type(data).__name__}")
    return [_flat(memoryview(part)) for part in parts]


def _flat(view: memoryview) -> memoryview:
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


def describe(condition: Version | Absent | None) -> str:
    """A condition, or what was found in its place, as words for a `Conflict`."""
    return "no value" if condition is ABSENT else f"version {condition}"
