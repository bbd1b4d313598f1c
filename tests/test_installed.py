"""The package as people install it: what it puts into an environment, and how it runs there beside other things."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest

import nnlite

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--case", "c", "--dataset", "fashion-sample", "--rounds", "1", "--steps-per-round", "2", "--workers", "2")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The files of the repository, after an older version was built there."""
    folder = tmp_path_factory.mktemp("clone")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    for name in filter(lambda name: (ROOT / name).exists(), done.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            (folder / name).symlink_to(os.readlink(ROOT / name))
        else:
            (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "build" / "lib" / "tools").mkdir(parents=True)
    (folder / "build" / "lib" / "tools" / "train.py").write_text("of an older version")
    return folder


def pip(*argv: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, clone)
    (path,) = folder.glob("*.whl")
    return path


class Environment:
    """A virtual environment: nothing of this one but NumPy and what it needs beside nnlite."""

    def __init__(self, folder: Path):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.bin = folder / "bin"
        (self.site,) = folder.glob("lib/python*/site-packages")
        (self.site / "others.pth").write_text(str(Path(numpy.__file__).parents[1]))

    def install(self, what: object, *options: str) -> None:
        pip("--python", self.bin / "python", "install", "--no-deps", "--no-index", *options, what)

    def run(self, *argv: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "NNLITE_DATA", "COVERAGE_PROCESS_START")}
        environment = bare | {"PATH": f"{self.bin}:/usr/bin:/bin", "XDG_CACHE_HOME": str(cwd / "cache")}
        command = [str(self.bin / argv[0]), *map(str, argv[1:])]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(wheel)
    return made


def test_nothing_but_nnlite_goes_into_an_environment(wheel, installed):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"nnlite", f"nnlite_serverless-{nnlite.__version__}.dist-info"}
    own = {path.name for path in installed.bin.iterdir()} - {"pip", "pip3"}
    assert {name for name in own if not name.lower().startswith(("python", "activate"))} == {"nnlite"}


def test_what_runs_on_platforms_travels_along(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, suffixes in (("lambda_pkg", {".py", ".yaml", ".txt"}), ("faas", {".py", ".yaml", ".json", ".txt"})):
        tracked = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
        wanted = {f"nnlite/functions/{n}" for n in tracked.stdout.splitlines() if Path(n).suffix in suffixes}
        assert wanted
        assert wanted <= names


def test_the_bundle_of_an_installed_package_has_the_handler_and_no_command(installed, tmp_path):
    code = (
        "import json; from nnlite.platform.aws import bundle, template; "
        "print(json.dumps([sorted(name for name, _ in bundle._own_files()), template.whole()]))"
    )
    done = installed.run("python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names, template = json.loads(done.stdout)
    assert {"lambda_pkg/handler.py", "nnlite/runtime/invocation.py"} <= set(names)
    assert not [name for name in names if name.startswith(("nnlite/commands", "nnlite/functions"))]
    assert template == (ROOT / "lambda_pkg" / "template.yaml").read_text()


@pytest.mark.skipif(shutil.which("faas-cli") is not None, reason="faas-cli is here, and would deploy")
def test_openfaas_is_prepared_from_an_installed_package(installed, tmp_path):
    """Without a clone, a terminal and faas-cli: all that it takes is there, and the function's code runs as it is."""
    done = installed.run("nnlite", "deploy", "--platform", "openfaas", "--image-prefix", "r/x", cwd=tmp_path)
    assert done.returncode == 1
    assert "faas-cli" in done.stderr.splitlines()[-1]
    assert f"--from-file {tmp_path / 'hmac.secret'}" in done.stdout
    assert (tmp_path / "hmac.secret").stat().st_size == 65
    code = "import handler, nnlite; print(nnlite.__file__)"
    for name in ("emnist-train", "emnist-setup"):
        folder = tmp_path / "nnlite-openfaas" / name
        ran = installed.run("python", "-c", code, cwd=folder)
        assert (ran.returncode, ran.stdout.strip()) == (0, str(folder / "nnlite" / "__init__.py")), ran.stderr


@pytest.mark.parametrize(
    ("words", "spelled"), [(("nnlite",), "nnlite "), (("python", "-m", "nnlite"), "python -m nnlite ")]
)
def test_commands_are_spelled_as_they_were_called(installed, tmp_path, words, spelled):
    assert installed.run(*words, "--version", cwd=tmp_path).stdout == f"nnlite {nnlite.__version__}\n"
    shown = installed.run(*words, "train", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: {spelled}train ")
    assert f"\n  {spelled}train --case b" in shown.stdout
    assert "tools." not in shown.stdout
    asked = installed.run(*words, "data", "show", "mnist", cwd=tmp_path)
    assert (asked.returncode, f"`{spelled}data fetch mnist`" in asked.stderr) == (1, True), asked.stderr
    assert installed.run(*words, "nothing", cwd=tmp_path).returncode == 2
    assert installed.run(*words, cwd=tmp_path).returncode == 2


def test_it_trains_beside_folders_and_packages_of_other_people(installed, tmp_path):
    """A `tools` of one's own in the folder, and a `pathlib` from PyPI that today's Python cannot import."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("raise ImportError('somebody else')")
    backport = installed.site / "pathlib.py"
    backport.write_text("from collections import Sequence")
    try:
        done = installed.run("nnlite", "train", *SMALL, "--out", "w.st", cwd=tmp_path)
    finally:
        backport.unlink()
    assert done.returncode == 0, done.stderr
    assert "started again" not in done.stderr
    assert (tmp_path / "w.st").stat().st_size


def test_in_a_clone_the_commands_stay_where_they_were(clone, tmp_path):
    """With nothing installed, and after `pip install --editable .`."""
    made = Environment(tmp_path / "environment")
    for _ in range(2):
        done = made.run("python", "-m", "tools.train", *SMALL, "--dry-run", cwd=clone)
        assert done.returncode == 0, done.stderr
        assert made.run("python", "-m", "tools.deploy", "--help", cwd=clone).returncode == 0
        (made.site / "others.pth").write_text(str(Path(numpy.__file__).parents[1]))
        made.install(clone, "--no-build-isolation", "--editable")
