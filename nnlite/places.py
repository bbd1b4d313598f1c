"""Places: the user's home, nnlite's cache in it, paths that begin with `~`, and folders for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nnlite.errors import UsageError


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's home folder: HOME, else what the system's list of users says.

    Raises UsageError when neither says it, as in a container that runs under a number without a name, and when HOME is
    no absolute path.
    """
    given = environ.get("HOME")
    found = Path(given) if given else _listed()
    if found is None:
        raise UsageError("this user has no home folder: set HOME (or, for caches alone, XDG_CACHE_HOME) to a folder")
    if not found.is_absolute():
        raise UsageError(f"HOME={found}: wanted an absolute path; set it to the user's home folder")
    return found


def cache() -> Path:
    """The folder for what can be made or fetched again: `nnlite` in XDG_CACHE_HOME, else in `~/.cache`.

    Raises UsageError as `home`, and when XDG_CACHE_HOME is no absolute path: the folder would follow the shell around.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    root = expanded(given) if given else home() / ".cache"
    if not root.is_absolute():
        raise UsageError(f"XDG_CACHE_HOME={given}: wanted an absolute path")
    return root / "nnlite"


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with a leading `~` or `~user` replaced by that home, as a shell does it, which skips `--out=~/x`.

    Raises UsageError when there is no such home: a folder named `~` is never what was meant.
    """
    found = Path(path)
    first = found.parts[0] if found.parts else ""
    if first == "~":
        return home().joinpath(*found.parts[1:])
    if first.startswith("~"):
        try:
            return found.expanduser()
        except RuntimeError:
            raise UsageError(f"{found}: there is no user {first[1:]!r} here; write the path in full") from None
    return found


@contextmanager
def temporary(what: str = "") -> Iterator[Path]:
    """A fresh folder, gone in the end. Raises UsageError when there is no place for one."""
    import tempfile

    try:
        made = tempfile.TemporaryDirectory(prefix="-".join(filter(None, ("nnlite", what, ""))))
    except OSError as error:
        raise UsageError(f"no folder for temporary files ({error.strerror}): set TMPDIR to a writable one") from None
    with made as name:
        yield Path(name)


def _listed() -> Path | None:
    """The home that the system's list of users gives, if this user is in it."""
    try:
        import pwd

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError):  # no such list (Windows), or a number without a name
        return None
