"""The bundle: small, complete, for its target, and the same bytes every time."""

import io
import struct
import subprocess
import sys
import zipfile

import pytest

from nnlite.errors import RunError, UsageError
from nnlite.platform.aws import bundle as bundles
from nnlite.platform.aws.bundle import LIMIT_BYTES, Target
from tests.platform.aws.cli import call

AARCH64 = 183  # e_machine in the header of an ELF file


@pytest.fixture(scope="module")
def for_arm():
    return bundles.build(Target("3.13", "arm64"))


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_the_default_target_gets_a_small_bundle_of_its_architecture(for_arm):
    assert len(for_arm.data) <= LIMIT_BYTES
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


def test_the_command_builds_the_same_bytes_without_aws(for_arm, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nobody is there
    done = call("deploy", "--bundle-only", "--out", tmp_path / "b.zip", "--python", "3.13", "--arch", "arm64")
    assert done.code == 0, done.err
    assert "MB zipped" in done.out
    assert bundles.load(tmp_path / "b.zip").digest == for_arm.digest


def test_what_is_no_bundle_is_not_deployed(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(RunError, match="is no bundle"):
        bundles.load(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("handler.py", "")
    with pytest.raises(RunError, match="is no bundle"):
        bundles.load(tmp_path / "other.zip")
