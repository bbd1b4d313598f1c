"""What a file really is, by its first bytes, when it is not what was expected: named in errors, with what to do."""

from __future__ import annotations

_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull` where it came from"),
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"BZh", "compressed by bzip2: unpack it"),
    (b"\xfd7zXZ", "compressed by xz: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF\r\n", "an HDF5 file (of Keras, perhaps)"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
)
_TAR_AT = 257
_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<!--")


def name(head: bytes | memoryview) -> str | None:
    """What a file that begins like this is, if it is one of the usual mistakes; `head`: its first 512 bytes or more."""
    start = bytes(head[:512])
    for beginning, what in _BEGINNINGS:
        if start.startswith(beginning):
            return what
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive: unpack it"
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGE):
        return "a web page, not the file that its link names: open the address in a browser and save the file again"
    if len(start) > 2 and start[0] == 0x80 and 2 <= start[1] <= 5 and start[2]:  # no command of a pickle is 0
        return "a Python pickle, which can run code when it is read, so nnlite does not"
    return None
