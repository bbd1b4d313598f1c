"""The target of a bundle: a runtime of Lambda, and the wheels that it can load."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nnlite.errors import UsageError

ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}  #: Lambda's name -> that of wheels
PYTHONS = ("3.12", "3.13", "3.14")  #: runtimes on Amazon Linux 2023, which NumPy's wheels need
GLIBCS = (34, 28, 27, 17)  #: 2.x, of the manylinux tags that Amazon Linux 2023 (2.34) can load


@dataclass(frozen=True)
class Target:
    """What a bundle is for."""

    python: str = "3.13"
    architecture: str = "arm64"

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UsageError(f"--arch {self.architecture}: Lambda has {' and '.join(ARCHITECTURES)}")
        if not re.fullmatch(r"3\.\d{1,2}", self.python):
            raise UsageError(f"--python {self.python}: wanted a version like {PYTHONS[-1]}")

    @property
    def runtime(self) -> str:
        """Lambda's name of the runtime."""
        return f"python{self.python}"

    @property
    def platforms(self) -> list[str]:
        """Tags of the wheels that this target can load."""
        machine = ARCHITECTURES[self.architecture]
        return [f"manylinux_2_{minor}_{machine}" for minor in GLIBCS] + [f"manylinux2014_{machine}"]
