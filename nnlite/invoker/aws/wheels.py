"""Wheels: what of others goes into a bundle. Any pip downloads them; each must have a hash that is known here."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

from nnlite.errors import RunError
from nnlite.invoker import sources
from nnlite.invoker.aws.target import Target

LOCK = "wheels.txt"  #: versions and hashes, as pip reads them, in `lambda_pkg`; `make lock` writes it


def lock() -> Path:
    """The file of versions and hashes."""
    return sources.folder("lambda_pkg") / LOCK


def pinned() -> list[str]:
    """The requirements that it holds: these versions, and files with these hashes alone."""
    return ["--require-hashes", "--requirement", str(lock())]


def download(target: Target, requirements: Sequence[str], folder: Path) -> list[Path]:
    """The wheels that `requirements`, as `pip download` takes them, name; in order of their names.

    Raises RunError when there is no pip, or no such wheels.
    """
    wheels = folder / "wheels"
    command = [*_pip(folder), "download", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    command += ["--implementation", "cp", "--python-version", target.python]
    for tag in target.platforms:
        command += ["--platform", tag]
    done = subprocess.run([*command, "--dest", str(wheels), *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-300:]]
        what = " ".join(word for word in requirements if not word.startswith("--"))
        raise RunError(f"no wheels of {what} for Python {target.python} on {target.architecture}: {said[-1]}")
    return sorted(wheels.glob("*.whl"))


def _pip(folder: Path) -> list[str]:
    """The command of a pip that works. Raises RunError when there is none."""
    for command in _candidates(folder):
        try:
            done = subprocess.run([*command, "--version"], capture_output=True, check=False)
        except OSError:  # not to be executed
            continue
        if done.returncode == 0:
            return command
    raise RunError(
        "there is no pip here, and the bundle is made of wheels that pip downloads: `python -m ensurepip`, "
        "`uv pip install pip` or your system's package python3-pip brings it; or build the bundle where there is one "
        "(--bundle-only) and deploy that (--bundle FILE)"
    )


def _candidates(folder: Path) -> Iterator[list[str]]:
    """What may be a pip, the nearest first; any Python's will do, as it is told which one the wheels are for."""
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-m", "pip"]
    for name in ("pip", "pip3"):
        if found := shutil.which(name):
            yield [found]
    alone = folder / "pip"
    try:
        venv.create(alone, with_pip=True)  # most Pythons carry a pip, even where none is installed
        yield [str(alone / "bin" / "python"), "-m", "pip"]
    except (subprocess.CalledProcessError, OSError, ImportError):  # this one does not
        pass
    if uv := shutil.which("uv"):
        yield [uv, "tool", "run", "pip"]
