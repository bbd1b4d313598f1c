"""The bundle: small, complete, for its target, and the same bytes every time."""

import io
import os
import re
import struct
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from nnlite.errors import RunError, UsageError
from nnlite.invoker import sources
from nnlite.platform.aws import bundle as bundles
from nnlite.platform.aws import wheels
from nnlite.platform.aws.bundle import LIMIT_BYTES
from nnlite.platform.aws.target import ARCHITECTURES, PYTHONS, Target
from tests.platform.aws.cli import call

ROOT = sources.NNLITE.parent
AARCH64 = 183  # e_machine in the header of an ELF file


@pytest.fixture(scope="module")
def for_arm():
    return bundles.build(Target("3.13", "arm64"))


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_the_default_target_gets_a_small_bundle_of_its_architecture(for_arm):
    assert len(for_arm.data) <= LIMIT_BYTES
    assert for_arm.target == Target("3.13", "arm64")
    archive = zipfile.ZipFile(io.BytesIO(for_arm.data))
    libraries = [name for name in archive.namelist() if name.endswith(".so") or ".so." in name]
    assert any("multiarray_umath.cpython-313" in name for name in libraries)
    assert {struct.unpack_from("<H", archive.read(name), 18)[0] for name in libraries} == {AARCH64}


def test_order_does_not_matter_but_content_does():
    one, two = {"a": b"1", "b": b"2"}, {"b": b"2", "a": b"1"}
    assert bundles._zipped(one) == bundles._zipped(two) != bundles._zipped(one | {"a": b"3"})


def test_it_holds_what_a_function_needs_and_not_more(for_arm):
    found = names(for_arm.data)
    assert {"lambda_pkg/handler.py", "nnlite/runtime/invocation.py", "pymemcache/__init__.py"} <= set(found)
    never = ("boto", "/tests/", "samples", "__pycache__", ".pyi", "lambda_pkg/bundle", "lambda_pkg/template")
    assert [name for name in found if any(part in name for part in never)] == []
    assert any("LICENSE" in name for name in found)  # NumPy's goes with it


def test_all_that_can_be_imported_there_can_be(local_bundle, tmp_path):
    """With nothing but the zip: every module of nnlite that a worker may come to need."""
    zipfile.ZipFile(local_bundle).extractall(tmp_path)
    code = (
        "import sys, pkgutil, importlib; sys.path.insert(0, sys.argv[1]); import lambda_pkg.handler, numpy, nnlite;"
        "assert numpy.__file__.startswith(sys.argv[1]), numpy.__file__;"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(nnlite.__path__, 'nnlite.')];"
        "numpy.linalg.solve(numpy.eye(3), numpy.ones(3)); numpy.random.default_rng(0).permutation(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_is_too_large_or_not_to_be_had_is_refused():
    with pytest.raises(RunError, match=r"too large: .*Lambda's limit"):
        bundles.build(Target("3.13", "arm64"), ("pymemcache",), limit_bytes=10_000)
    with pytest.raises(RunError, match=r"no wheels of numpy==0\.1"):
        bundles.build(Target("3.13", "arm64"), ("numpy==0.1",))
    with pytest.raises(UsageError, match="Lambda has arm64 and x86_64"):
        Target("3.13", "riscv")


# ---- what of others is in it


def pins(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Package -> its version, and the hashes that are taken."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    found = [line.split() for line in lines if not line.startswith("#")]
    return {what.partition("==")[0]: (what.partition("==")[2], hashes) for what, *hashes in found}


def test_every_file_of_others_is_known_by_its_hash(for_arm):
    locked = pins(wheels.lock())
    assert for_arm.packages == tuple(f"{name} {version}" for name, (version, _) in locked.items())
    assert len(locked["numpy"][1]) == len(PYTHONS) * len(ARCHITECTURES)  # one for each target
    assert len(locked["pymemcache"][1]) == 1
    for name in ("emnist-setup", "emnist-train"):
        of_image = pins(sources.folder("faas") / name / "requirements.txt")
        assert of_image == {**locked, "urllib3": of_image["urllib3"]}
    hashes = [digest for _, several in (*locked.values(), of_image["urllib3"]) for digest in several]
    assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", digest) for digest in hashes)


def test_a_wheel_that_is_another_one_is_refused(tmp_path):
    (small,) = re.findall(r"pymemcache==.*\n.*sha256:", wheels.lock().read_text())
    (tmp_path / "lock").write_text(small + "0" * 64)
    with pytest.raises(RunError, match="DO NOT MATCH THE HASHES"):
        bundles.build(Target("3.13", "arm64"), ("--require-hashes", "--requirement", str(tmp_path / "lock")))
    (tmp_path / "lock").write_text("pymemcache==4.0.0\n")
    with pytest.raises(RunError, match=r"[Hh]ashes are required"):
        bundles.build(Target("3.13", "arm64"), ("--require-hashes", "--requirement", str(tmp_path / "lock")))


def test_where_the_index_is_not_reached_pip_s_word_for_it_is_said(tmp_path, monkeypatch):
    """pip's last line is then that there is no such version: nobody would look at the network."""
    for name, value in (("INDEX_URL", "http://127.0.0.1:1/simple"), ("RETRIES", "1"), ("FIND_LINKS", "")):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(RunError, match=r"ERROR: No matching distribution.*Connection refused") as caught:
        wheels.download(Target("3.13", "arm64"), ["pymemcache==4.0.0"], tmp_path)
    assert "\n" not in str(caught.value)


# ---- where there is no pip


@pytest.fixture
def without_pip(tmp_path):
    """Run a program in an environment like uv's: Python, and nothing but what it is given. `more`: goes before all."""
    venv.create(tmp_path / "venv", with_pip=False)

    def call(code: str, more: Path | None = None, path: str = "/nowhere") -> subprocess.CompletedProcess[str]:
        before = [f"import sys; sys.path[:0] = {[str(more)] if more else []}; sys.path.append({str(ROOT)!r})"]
        environment = {"PATH": path, "HOME": str(tmp_path)}
        environment |= {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "TMPDIR"))
        }
        program = [str(tmp_path / "venv" / "bin" / "python"), "-c", "\n".join([*before, code])]
        return subprocess.run(program, env=environment, capture_output=True, text=True, check=False)

    return call


ASK = "from nnlite.platform.aws import wheels; from pathlib import Path; print(*wheels._pip(Path(sys.argv[0] or '.')))"
BUNDLE = """
from nnlite.commands import door
sys.exit(door.enter("deploy", ["--bundle-only", "--out", OUT]))
"""


def test_a_bundle_is_built_without_pip(without_pip, for_arm, tmp_path):
    """By the pip that Python itself carries, in an environment that is gone afterwards."""
    done = without_pip(f"OUT = {str(tmp_path / 'b.zip')!r}{BUNDLE}")
    assert done.returncode == 0, done.stderr
    assert bundles.load(tmp_path / "b.zip").digest == for_arm.digest
    assert without_pip("import pip").returncode == 1


def test_another_python_s_pip_will_do(without_pip, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip3").symlink_to(Path(sys.executable).with_name("pip3"))
    done = without_pip(ASK, path=str(tmp_path / "bin"))
    assert done.stdout.split() == [str(tmp_path / "bin" / "pip3")], done.stderr


def test_where_there_is_no_pip_at_all_it_is_said_what_to_do(without_pip, tmp_path):
    (tmp_path / "bare" / "ensurepip").mkdir(parents=True)
    (tmp_path / "bare" / "ensurepip" / "__init__.py").write_text("raise ImportError('as Debian has it')")
    (tmp_path / "bare" / "venv").mkdir()
    (tmp_path / "bare" / "venv" / "__init__.py").write_text("def create(*_, **__): raise ImportError('ensurepip')")
    done = without_pip(f"OUT = 'b.zip'{BUNDLE}", more=tmp_path / "bare")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: there is no pip here, and the bundle is made of wheels that pip downloads: ")
    assert "python -m ensurepip" in line


def test_a_pip_that_does_not_work_is_quoted(without_pip, tmp_path):
    (tmp_path / "bare" / "venv").mkdir(parents=True)
    (tmp_path / "bare" / "venv" / "__init__.py").write_text("def create(*_, **__): raise ImportError('ensurepip')")
    (tmp_path / "bare" / "pip").mkdir()
    (tmp_path / "bare" / "pip" / "__init__.py").touch()
    (tmp_path / "bin").mkdir()
    for name, line in (("pip", "echo its zlib is missing >&2; exit 3"), ("pip3", "exit 4")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    done = without_pip(f"OUT = 'b.zip'{BUNDLE}", path=str(tmp_path / "bin"), more=tmp_path / "bare")
    (line,) = done.stderr.splitlines()
    for said in ("bin/pip: its zlib is missing", "bin/pip3: code 4", "python -m ensurepip"):
        assert said in line


def test_the_command_builds_the_same_bytes_without_aws(for_arm, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nobody is there
    done = call("deploy", "--bundle-only", "--out", tmp_path / "b.zip", "--python", "3.13", "--arch", "arm64")
    assert done.code == 0, done.err
    assert "MB zipped" in done.out
    assert bundles.load(tmp_path / "b.zip").digest == for_arm.digest


def test_what_is_no_bundle_is_not_deployed(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(UsageError, match="is no bundle"):
        bundles.load(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("handler.py", "")
    with pytest.raises(UsageError, match="is no bundle"):
        bundles.load(tmp_path / "other.zip")
    newer = bytearray((tmp_path / "other.zip").read_bytes())
    newer[newer.index(b"PK\x01\x02") + 6] = 85  # the version of the format that reads it
    (tmp_path / "newer.zip").write_bytes(newer)
    with pytest.raises(UsageError, match=r"is no bundle \(zip file version 8\.5\)"):
        bundles.load(tmp_path / "newer.zip")
