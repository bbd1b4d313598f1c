"""`make train` where something is missing: it says so at once, in one line, and leaves nothing half-made behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def folder(tmp_path):
    """A clone, as far as make looks at it before it installs anything."""
    for name in ("Makefile", "setup.cfg", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, python: object = sys.executable, **environment: str) -> subprocess.CompletedProcess[str]:
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "VENV", "PYTHON")  # of a make that runs these tests
    inherited = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        ["make", "train", f"PYTHON={python}"], cwd=folder, env=inherited | environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that is not make's own."""
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    return line


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines)))
    path.chmod(0o755)
    return path


def test_an_older_python_is_refused_by_its_version(folder):
    """Stood in for by one whose version is older, whatever it is asked."""
    older = script(
        folder / "python3.9",
        'if [ "$1" = --version ]; then echo Python 3.9.18; exit; fi',
        f'exec {sys.executable} -c "import sys; sys.version_info = (3, 9, 18); exec(sys.argv[1])" "$2"',
    )
    line = said(make(folder, older))
    assert (
        line == f"nnlite needs Python 3.10 or later, and {older} is Python 3.9.18: name another, make PYTHON=python3.12"
    )
    assert not (folder / ".venv").exists()


def test_a_python_that_is_not_there(folder):
    assert said(make(folder, "python-of-nobody")) == "there is no python-of-nobody: install Python 3.10 or later"


def test_without_the_venv_package_of_debian(folder, tmp_path):
    """Debian's python3 has venv, but no ensurepip."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "ensurepip.py").write_text("raise ImportError")
    line = said(make(folder, PYTHONPATH=str(tmp_path / "without")))
    assert line.endswith("install its venv module (Debian, Ubuntu: apt-get install python3-venv)")
    assert not (folder / ".venv").exists()


def test_an_environment_that_fails_half_way_is_removed(folder):
    failing = script(
        folder / "python", f'if [ "$2" = venv ]; then {sys.executable} -m venv --without-pip "$3"; exit 1; fi',
        f'exec {sys.executable} "$@"',
    )  # fmt: skip
    assert make(folder, failing).returncode == 2
    assert not (folder / ".venv").exists()


def test_an_environment_without_pip_is_named(folder):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    assert said(make(folder)) == ".venv has no pip: remove .venv"


def test_progress_is_seen():
    """Minutes of downloads without a word look like a machine that hangs."""
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    assert lines
    assert not [line for line in lines if "--quiet" in line or " -q" in line]
