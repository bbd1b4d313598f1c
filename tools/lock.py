"""Pin the newest wheels by their hashes: `python -m tools.lock`, for the bundle and for the images of OpenFaaS."""

from __future__ import annotations

import hashlib
import itertools
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from nnlite.errors import RunError
from nnlite.invoker import sources
from nnlite.platform.aws import wheels
from nnlite.platform.aws.target import ARCHITECTURES, PYTHONS, Target

HEAD = "# Versions, and the SHA-256 of every file that may be taken for them. `make lock` writes this.\n"
BUNDLE = ("numpy>=1.26", "pymemcache>=4.0")
IMAGES = (*BUNDLE, "urllib3>=2.0")
FILES = {"lambda_pkg/wheels.txt": BUNDLE} | dict.fromkeys(
    ("faas/emnist-setup/requirements.txt", "faas/emnist-train/requirements.txt"), IMAGES
)


def main() -> int:
    """Ask for the newest wheels of every target, and write down which they are."""
    found = newest()
    for path, requirements in FILES.items():
        names = [requirement.partition(">")[0] for requirement in requirements]
        (sources.NNLITE.parent / path).write_text(HEAD + "".join(pin(name, *found[name]) for name in names))
        print(f"{path}: {', '.join(f'{name} {found[name][0]}' for name in names)}")
    return 0


def newest() -> dict[str, tuple[str, set[str]]]:
    """Name of a package -> its version, and the hashes of its wheels. Raises RunError where targets differ."""
    versions, hashes = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for python, architecture in itertools.product(PYTHONS, ARCHITECTURES):
        with tempfile.TemporaryDirectory() as folder:
            for wheel in wheels.download(Target(python, architecture), IMAGES, Path(folder)):
                name, version = wheel.name.split("-")[:2]
                versions[name].add(version)
                hashes[name].add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    for name, several in versions.items():
        if len(several) > 1:
            raise RunError(f"{name}: not every target has the same newest version: {', '.join(sorted(several))}")
    return {name: (version, hashes[name]) for name, (version,) in versions.items()}


def pin(name: str, version: str, hashes: set[str]) -> str:
    """A requirement as pip reads it."""
    return " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{digest}" for digest in sorted(hashes))]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
