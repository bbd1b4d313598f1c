"""The bundle: one zip of NumPy, pymemcache, nnlite and the handler. Same input, same bytes.

boto3 is not in it: the runtime brings its own.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from nnlite import places
from nnlite.errors import RunError, UsageError
from nnlite.invoker import sources
from nnlite.platform.aws import wheels
from nnlite.platform.aws.target import ARCHITECTURES, Target

HANDLER = "lambda_pkg.handler.handle"
LIMIT_BYTES = 14_000_000  #: ours: what is larger starts slower
ZIP_LIMIT_BYTES, UNZIPPED_LIMIT_BYTES = 50 * 2**20, 250 * 2**20  #: Lambda's

_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that zip files know: no file's own time gets in
_NUMPY_NEVER = re.compile(
    r"numpy/(.*/)?(tests|_examples|include|lib/pkgconfig|_pyinstaller|doc)/"
    r"|numpy/(f2py|distutils|testing|ma|polynomial|fft|_core/lib|random/lib)/"
    r"|numpy/_core/(_(multiarray|umath|rational|operand_flag|struct_ufunc)_tests?|_simd)\."
    r"|numpy/.*\.(pyi|pxd|pyx|h|c|a|typed)$"
)
_NNLITE_NEVER = re.compile(
    r"nnlite/(data/samples|api|commands|functions|platform)/|nnlite/__main__\.py|.*__pycache__/|.*\.pyc$|.*/py\.typed$"
)
_METADATA_NEVER = re.compile(r"[^/]+\.dist-info/(?!licenses/|LICENSE)|[^/]+\.data/|bin/")


@dataclass(frozen=True)
class Bundle:
    """A zip and what is said of it."""

    data: bytes
    packages: tuple[str, ...]  #: names and versions of the wheels in it

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hex."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def target(self) -> Target | None:
        """What it was built for, by the names of its libraries; None when they do not say it."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            names = "\n".join(archive.namelist())
        found = set(re.findall(r"\.cpython-3(\d+)-(\w+)-linux-gnu\.so$", names, re.MULTILINE))
        if len(found) != 1:
            return None
        ((minor, machine),) = found
        known = {wheels: name for name, wheels in ARCHITECTURES.items()}
        return Target(f"3.{minor}", known[machine]) if machine in known else None

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


def build(target: Target, requirements: Sequence[str] | None = None, limit_bytes: int = LIMIT_BYTES) -> Bundle:
    """Download wheels for the target, strip them, add nnlite and the handler.

    requirements: what to ask pip for instead of the versions and hashes of `wheels.lock()`.
    Raises RunError when a wheel cannot be had, or the zip is larger than we allow.
    """
    with places.temporary("bundle") as folder:
        found = wheels.download(target, wheels.pinned() if requirements is None else requirements, Path(folder))
        files = dict(_own_files())
        for wheel in found:
            files.update(_wheel_files(wheel))
        packages = tuple(" ".join(wheel.name.split("-")[:2]) for wheel in found)
    bundle = Bundle(_zipped(files), packages)
    for size, limit in ((len(bundle.data), limit_bytes), (bundle.unzipped_bytes, UNZIPPED_LIMIT_BYTES)):
        if size > limit:
            raise RunError(f"the bundle is too large: {bundle.describe()}; pin an older numpy")
    return bundle


def load(path: Path) -> Bundle:
    """A bundle that was built before. Raises UsageError when the file is none."""
    try:
        bundle = Bundle(path.read_bytes(), (path.name,))
        with zipfile.ZipFile(io.BytesIO(bundle.data)) as archive:
            archive.getinfo(HANDLER.rpartition(".")[0].replace(".", "/") + ".py")
    except (OSError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no bundle ({error}): make one by python -m tools.deploy --bundle-only") from None
    return bundle


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
