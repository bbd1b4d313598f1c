"""The download of one published file: resumed, checked, and put in place in one move.

Bytes go to `NAME.part`; a connection that breaks is taken up where it broke, also by a later call; the md5
is checked before the part gets its name. When several processes want the same file, one downloads it and the
others wait (`data.part`); when that one dies, another goes on from where it came to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from nnlite import magic
from nnlite.data.part import Part, md5_of, take
from nnlite.errors import DataError, DataNotFound, NnliteError, UsageError

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

Progress = Callable[[int, int | None], None]
"""Called with (done_bytes, total_bytes); total_bytes is None while unknown."""

TIMEOUT_S = 20.0
MAX_BYTES = 1_000_000_000  # the largest published file has 562 MB: a server that sends more fills the disk
_PATIENCE = 6  # timeouts without a new byte, after which another process that downloads is given up
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
    path = target.with_name(target.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = take(path, target, _PATIENCE * timeout_s, lambda size: progress(size, None) if progress else None)
        if part is None:
            return _checked(target, md5)  # as another process, or an earlier call, has left it
        with closing(part):
            _fill(part, urls, target.name, md5, progress, timeout_s)
            part.become(target)
    except NnliteError:
        raise
    except OSError as error:
        raise DataNotFound(f"cannot write {path}: {error.strerror or error}") from error
    return target


def _checked(target: Path, md5: str) -> Path:
    """`target`, if it is what it should be."""
    try:
        with target.open("rb") as file:
            found = md5_of(file.fileno())
    except OSError as error:
        raise DataError(
            f"{target} cannot be read: {error.strerror or error}. Delete it to download it again."
        ) from error
    if found != md5:
        raise DataError(f"{target}: expected md5 {md5}, found {found}. Delete it to download it again.")
    return target


def _fill(part: Part, urls: Sequence[str], name: str, md5: str, progress: Progress | None, timeout_s: float) -> None:
    """Complete `part` from the first address that has the file. Raises DataNotFound or DataError when none has."""
    problems: list[str] = []
    wrong: DataError | None = None
    for url in urls:
        try:
            _fetch_from(url, part, md5, progress, timeout_s)
            return
        except _AddressError as problem:
            problems.append(f"{url}: {problem}")
        except DataError as error:
            wrong = error
    if wrong is not None:
        part.delete()
        raise wrong
    raise DataNotFound(f"cannot download {name}: {'; '.join(problems)}")


def _fetch_from(url: str, part: Part, md5: str, progress: Progress | None, timeout_s: float) -> None:
    """Complete `part` from one address. Raises _AddressError, or DataError after clearing a wrong part."""
    resumed = part.size > 0
    _complete(url, part, progress, timeout_s)
    found = part.md5()
    if found != md5 and resumed:  # what we went on with may have been something else: once more, from zero
        part.clear()
        _complete(url, part, progress, timeout_s)
        found = part.md5()
    if found != md5:
        what = magic.name(part.head())
        part.clear()
        found += f" (it is {what})" if what else ""
        raise DataError(f"{url}: wrong checksum: expected md5 {md5}, found {found}. The download is deleted.")


def _complete(url: str, part: Part, progress: Progress | None, timeout_s: float) -> None:
    """Ask until the file is complete, from where it broke each time; give up when nothing comes any more."""
    fruitless = 0
    while True:
        before = part.size
        try:
            if _request(url, part, progress, timeout_s):
                return
            problem = "the connection broke"
        except _AddressError as error:
            problem = str(error)
        fruitless = 0 if part.size > before else fruitless + 1
        if fruitless >= _MAX_FRUITLESS:
            raise _AddressError(problem)


def _request(url: str, part: Part, progress: Progress | None, timeout_s: float) -> bool:
    """One request, appended to `part`. True if the file is complete then."""
    import http.client
    import urllib.error
    import urllib.request

    start = part.size
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
                part.clear()
            raise _AddressError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _AddressError(str(getattr(error, "reason", "") or error or type(error).__name__)) from error
    with response:
        return _receive(response, part, progress)


def _receive(response: HTTPResponse, part: Part, progress: Progress | None) -> bool:
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != part.size:
            asked = part.size
            part.clear()
            raise _AddressError(f"asked for bytes from {asked}, found {match and match[0]!r}")
        total: int | None = int(match[2])
    else:  # the whole file, whether or not we asked for a part of it
        part.clear()
        total = response.length
    for block in _blocks(response):
        part.append(block)
        if part.size > MAX_BYTES:
            part.clear()
            raise _AddressError(f"it goes on behind {MAX_BYTES:,} bytes, more than any known file has")
        if progress is not None:
            progress(part.size, total)
    return total is None or part.size == total


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
