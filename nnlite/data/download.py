"""The download of one published file: resumed, checked, and put in place in one move.

Bytes go to `NAME.part`; a connection that breaks is taken up where it broke, also by a later call; the md5
is checked before the part gets its name. One download at a time for one target: two at once would spoil
each other's part, which the checksum then finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnlite.errors import DataError, DataNotFound, UsageError

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

Progress = Callable[[int, int | None], None]
"""Called with (done_bytes, total_bytes); total_bytes is None while unknown."""

TIMEOUT_S = 20.0
_BLOCK_BYTES = 1 << 16
_MAX_FRUITLESS = 2  # requests in a row to one address that brought nothing


class _AddressError(Exception):
    """Why one address did not give us the file."""


def fetch(
    urls: Sequence[str],
    target: Path,
    md5: str,
    *,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Path:
    """`target`, downloaded from the first of `urls` that has it, unless it is there already.

    What is there already is checked too, but never deleted.

    md5: of the whole file, in hex.
    timeout_s: for a connection that says nothing, not for the whole file.
    Raises DataError if what came has another checksum (the part is deleted), DataNotFound if no address
    could be read (the part is kept, for the next call to go on with), UsageError for other than http(s).
    """
    for url in urls:
        if not url.startswith(("https://", "http://")):
            raise UsageError(f"only http:// and https:// are downloaded, not {url}")
    if target.exists():
        found = _md5_of(target)
        if found != md5:
            raise DataError(f"{target}: expected md5 {md5}, found {found}. Delete it to download it again.")
        return target
    part = target.with_name(target.name + ".part")
    problems: list[str] = []
    wrong: DataError | None = None
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for url in urls:
            try:
                _fetch_from(url, part, md5, progress, timeout_s)
            except _AddressError as problem:
                problems.append(f"{url}: {problem}")
            except DataError as error:
                wrong = error
            else:
                part.replace(target)
                return target
    except OSError as error:
        raise DataNotFound(f"cannot write {part}: {error.strerror or error}") from error
    if wrong is not None:
        raise wrong
    raise DataNotFound(f"cannot download {target.name}: {'; '.join(problems)}")


def _fetch_from(url: str, part: Path, md5: str, progress: Progress | None, timeout_s: float) -> None:
    """Complete `part` from one address. Raises _AddressError, or DataError after deleting a wrong part."""
    resumed = part.exists()
    _complete(url, part, progress, timeout_s)
    found = _md5_of(part)
    if found != md5 and resumed:  # what we went on with may have been something else: once more, from zero
        part.unlink()
        _complete(url, part, progress, timeout_s)
        found = _md5_of(part)
    if found != md5:
        part.unlink()
        raise DataError(f"{url}: wrong checksum: expected md5 {md5}, found {found}. The download is deleted.")


def _complete(url: str, part: Path, progress: Progress | None, timeout_s: float) -> None:
    """Ask until the file is complete, from where it broke each time; give up when nothing comes any more."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            if _request(url, part, progress, timeout_s):
                return
            problem = "the connection broke"
        except _AddressError as error:
            problem = str(error)
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless >= _MAX_FRUITLESS:
            raise _AddressError(problem)


def _request(url: str, part: Path, progress: Progress | None, timeout_s: float) -> bool:
    """One request, appended to `part` from where it ends. True if the file is complete then."""
    import http.client
    import urllib.error
    import urllib.request

    start = _size(part)
    headers = {"User-Agent": "nnlite", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and start:  # nothing after what we have: complete, or not this file
                if error.headers.get("Content-Range") == f"bytes */{start}":
                    return True
                part.unlink()
            raise _AddressError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _AddressError(str(getattr(error, "reason", "") or error or type(error).__name__)) from error
    with response:
        return _receive(response, part, start, progress)


def _receive(response: HTTPResponse, part: Path, start: int, progress: Progress | None) -> bool:
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            part.unlink()
            raise _AddressError(f"asked for bytes from {start}, found {match and match[0]!r}")
        total: int | None = int(match[2])
    else:  # the whole file, whether or not we asked for a part of it
        start = 0
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
    done = start
    with part.open("ab" if start else "wb") as file:
        for block in _blocks(response):
            file.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return total is None or done == total


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes. Raises _AddressError, so that an OSError is one of writing."""
    import http.client

    try:
        while block := response.read1(_BLOCK_BYTES):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise _AddressError(str(error) or type(error).__name__) from error


def _opener() -> OpenerDirector:
    """An opener that knows http and https only, so that no redirect leads to a file or to ftp."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5_of(path: Path) -> str:
    import hashlib

    state = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()
