"""Required packages: the oldest version of each that nnlite works with, seen to where the package is first used."""

from __future__ import annotations

import re
from types import ModuleType

from nnlite.errors import RunError

OLDEST = {"numpy": (1, 26), "boto3": (1, 36), "pymemcache": (4, 0)}


def check(package: ModuleType) -> None:
    """Raise RunError when an older version is installed, as pip leaves one that another package asks for."""
    name, found = package.__name__, str(getattr(package, "__version__", ""))
    version = re.match(r"(\d+)\.(\d+)", found)
    if version is not None and (int(version[1]), int(version[2])) < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise RunError(
            f"{name} {found} is too old: nnlite needs {name} >= {oldest}, found in {package.__file__}: "
            f"pip install --upgrade '{name}>={oldest}'"
        )
