"""The case file: a user's Python file with a case, and with layers or other parts of the user's own.

It is run only when this machine's command line, or Python, names it: never because something in a store does. A
specification says its name and the SHA-256 of its bytes, so that a run goes on with the very code it began with.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from nnlite import places
from nnlite.errors import UsageError

_has_run: dict[str, CaseFile] = {}  # in this process, by SHA-256


@dataclass(frozen=True)
class CaseFile:
    """A case file as it was read: what is hashed is what is run."""

    path: Path  #: absolute
    data: bytes = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> CaseFile:
        """Raises UsageError when there is no such file, or it cannot be read."""
        path = places.expanded(path)
        try:
            if not path.is_file():
                raise UsageError(f"no case file {path}")
            return cls(path.resolve(), path.read_bytes())
        except OSError as error:
            raise UsageError(f"cannot read case file {path}: {error.strerror}") from None

    @property
    def name(self) -> str:
        """Without folders."""
        return self.path.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes, 64 hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    def check(self, sha256: str, what: str) -> None:
        """Raise UsageError when it is not the file with that hash, which `what` began with."""
        if self.sha256 != sha256:
            raise UsageError(
                f"{what} began with a case file of SHA-256 {sha256[:12]}, and {self.path} has {self.sha256[:12]}: "
                "name the file as it was then"
            )

    def run(self) -> ModuleType:
        """Run it, once more if it ran before: classes of the same names take the place of the old. -> its module

        Raises UsageError when it fails.
        """
        name = f"case_file_{self.path.stem}"
        loader = _Held(name, str(self.path))
        loader.data = self.data
        spec = importlib.util.spec_from_file_location(name, self.path, loader=loader)
        assert spec is not None  # as there is a loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        try:
            loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise UsageError(f"case file {self.path} fails: {type(error).__name__}: {error}") from error
        _has_run[self.sha256] = self
        return module


def run_again(path: str | Path, sha256: str | None, what: str) -> None:
    """Run the file that defines parts of what goes on. sha256: of that file; None: it has no such parts.

    Raises UsageError when it is not that file, or none is needed.
    """
    if sha256 is None:
        says = f"case {path}: {what} goes on as it began, and has no code of its own: leave it out"
        raise UsageError(says, parameter="case")
    file = CaseFile.read(path)
    file.check(sha256, what)
    file.run()


def adopt(file: CaseFile) -> None:
    """Take a file as run that was written from classes which this process has defined already."""
    _has_run[file.sha256] = file


class _Held(importlib.machinery.SourceFileLoader):
    """Loads a module from the bytes that were read, not from what the file or a cache holds by now."""

    data = b""

    def get_data(self, path: str) -> bytes:
        return self.data

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError("no cache")


def is_known(sha256: str) -> bool:
    """Whether this process has run the file of that hash, or has adopted it."""
    return sha256 in _has_run


def has_run(name: str, sha256: str, what: str) -> CaseFile:
    """The file of that hash, which this process has run. name: what it is called. Raises UsageError when it has not."""
    if sha256 not in _has_run:
        raise UsageError(
            f"{what} has layers or other parts of its own, which {name} defines (SHA-256 {sha256[:12]}), and no store "
            f"is asked for code: name the file, case={name!r}"
        )
    return _has_run[sha256]
