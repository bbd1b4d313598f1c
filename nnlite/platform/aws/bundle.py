"""The bundle: one zip of NumPy, pymemcache, nnlite and the handler. Same input, same bytes.

boto3 is not in it: the runtime brings its own.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nnlite.errors import RunError, UsageError
from nnlite.platform import sources

HANDLER = "lambda_pkg.handler.handle"
LIMIT_BYTES = 14_000_000  #: ours: what is larger starts slower
ZIP_LIMIT_BYTES, UNZIPPED_LIMIT_BYTES = 50 * 2**20, 250 * 2**20  #: Lambda's
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}  #: Lambda's name -> that of wheels
PYTHONS = ("3.12", "3.13", "3.14")  #: runtimes on Amazon Linux 2023, which NumPy's wheels need
GLIBCS = (34, 28, 27, 17)  #: 2.x, of the manylinux tags that Amazon Linux 2023 (2.34) can load
REQUIREMENTS = ("numpy>=1.26", "pymemcache>=4.0")

_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that zip files know: no file's own time gets in
_NUMPY_NEVER = re.compile(
    r"numpy/(.*/)?(tests|_examples|include|lib/pkgconfig|_pyinstaller|doc)/"
    r"|numpy/(f2py|distutils|testing|ma|polynomial|fft|_core/lib|random/lib)/"
    r"|numpy/_core/(_(multiarray|umath|rational|operand_flag|struct_ufunc)_tests?|_simd)\."
    r"|numpy/.*\.(pyi|pxd|pyx|h|c|a|typed)$"
)
_NNLITE_NEVER = re.compile(
    r"nnlite/(data/samples|commands|functions)/|nnlite/__main__\.py|.*__pycache__/|.*\.pyc$|.*/py\.typed$"
)
_METADATA_NEVER = re.compile(r"[^/]+\.dist-info/(?!licenses/|LICENSE)|[^/]+\.data/|bin/")


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


@dataclass(frozen=True)
class Bundle:
    """A zip and what is said of it."""

    data: bytes
    packages: tuple[str, ...]  #: names and versions of the wheels in it

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def unzipped_bytes(self) -> int:
        """What Lambda unpacks it to."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            return sum(entry.file_size for entry in archive.infolist())

    def describe(self) -> str:
        """One line: the size beside the limits."""
        mega = 1e6
        return (
            f"{len(self.data) / mega:.1f} MB zipped (ours to keep: {LIMIT_BYTES / mega:.0f}, Lambda's limit: "
            f"{ZIP_LIMIT_BYTES / mega:.0f}), {self.unzipped_bytes / mega:.0f} MB unzipped "
            f"({UNZIPPED_LIMIT_BYTES / mega:.0f}): {', '.join(self.packages)}"
        )


def build(target: Target, requirements: tuple[str, ...] = REQUIREMENTS, limit_bytes: int = LIMIT_BYTES) -> Bundle:
    """Download wheels for the target, strip them, add nnlite and the handler.

    Raises RunError when a wheel cannot be had, or the zip is larger than we allow.
    """
    with tempfile.TemporaryDirectory(prefix="nnlite-bundle-") as folder:
        wheels = _download(target, requirements, Path(folder))
        files = dict(_own_files())
        for wheel in wheels:
            files.update(_wheel_files(wheel))
        packages = tuple(" ".join(wheel.name.split("-")[:2]) for wheel in wheels)
    bundle = Bundle(_zipped(files), packages)
    for size, limit in ((len(bundle.data), limit_bytes), (bundle.unzipped_bytes, UNZIPPED_LIMIT_BYTES)):
        if size > limit:
            raise RunError(f"the bundle is too large: {bundle.describe()}; choose an older numpy")
    return bundle


def load(path: Path) -> Bundle:
    """A bundle that was built before. Raises RunError when the file is none."""
    try:
        bundle = Bundle(path.read_bytes(), (path.name,))
        with zipfile.ZipFile(io.BytesIO(bundle.data)) as archive:
            archive.getinfo(HANDLER.rpartition(".")[0].replace(".", "/") + ".py")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is no bundle ({error}): make one by python -m tools.deploy --bundle-only") from None
    return bundle


def _download(target: Target, requirements: tuple[str, ...], folder: Path) -> list[Path]:
    """The wheels, in order of their names."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--implementation", "cp", "--python-version", target.python]
    for tag in target.platforms:
        command += ["--platform", tag]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), *requirements], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise RunError(f"cannot start pip: {error}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-300:]]
        raise RunError(
            f"no wheels of {', '.join(requirements)} for Python {target.python} on {target.architecture}: {said[-1]}"
        )
    return sorted(folder.glob("*.whl"))


def _wheel_files(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not (name.endswith("/") or _METADATA_NEVER.match(name) or _NUMPY_NEVER.match(name)):
                yield name, archive.read(name)


def _own_files() -> Iterator[tuple[str, bytes]]:
    root = sources.NNLITE
    for path in root.rglob("*"):
        name = PurePosixPath("nnlite", *path.relative_to(root).parts)
        if path.is_file() and not _NNLITE_NEVER.match(str(name)):
            yield str(name), path.read_bytes()
    for path in sources.folder("lambda_pkg").glob("*.py"):
        yield f"lambda_pkg/{path.name}", path.read_bytes()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = 0o644 << 16  # Lambda runs it as another user, who must be able to read it
            archive.writestr(entry, files[name])
    return buffer.getvalue()
