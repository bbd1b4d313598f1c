"""Wheels: what of others goes into a bundle. Any pip downloads them; each must have a hash that is known here."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

from nnlite.errors import RunError, words
from nnlite.invoker import sources
from nnlite.platform.aws.target import Target

LOCK = "wheels.txt"  #: versions and hashes, as pip reads them, in `lambda_pkg`; `make lock` writes it
MOST_SAID = 200  # characters of the end of what a pip says that does not work


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
    done = subprocess.run(
        [*command, "--dest", str(wheels), *requirements], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        what = " ".join(word for word in requirements if not word.startswith("--"))
        raise RunError(f"no wheels of {what} for Python {target.python} on {target.architecture}: {_said(done.stderr)}")
    return sorted(wheels.glob("*.whl"))


def _said(stderr: str) -> str:
    """Why pip has downloaded nothing, in its words. Of a connection that broke only its warnings tell: its error is
    then that there is no such version."""
    lines = stderr.splitlines()
    errors = [line for line in lines if line.startswith("ERROR")] or [stderr.strip()[-MOST_SAID:]]
    broken = [found for line in lines if (found := line.partition("connection broken by ")[2])]
    return "; ".join(map(words, (*errors[-1:], *broken[-1:])))


def _pip(folder: Path) -> list[str]:
    """The command of a pip that works. Raises RunError when there is none."""
    failed = list[str]()
    for command in _candidates(folder):
        try:
            done = subprocess.run(
                [*command, "--version"], capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:  # not to be executed
            says = error.strerror or str(error)
        else:
            if done.returncode == 0:
                return command
            says = done.stderr.strip()[-MOST_SAID:] or f"code {done.returncode}"
        failed.append(f"{shlex.join(command)}: {words(says)}")
    found = f" that works ({'; '.join(failed)})" if failed else ""
    raise RunError(
        f"there is no pip here{found}, and the bundle is made of wheels that pip downloads: `python -m ensurepip`, "
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
