"""Manifest: what stands under a key in memcached, where an item holds less than 1 MiB.

A line of text, then the value itself if it fits into one item::

    nnlite1 <version> <num_bytes> <num_chunks> <checksum>\\n<value, if num_chunks is 0>

Otherwise the value lies in `num_chunks` items whose names are made of the version, which is fresh: so a chunk
is written once, and a reader that has the manifest can only meet its own chunks, or none.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_HEADER_BYTES = 64
_HEADER = re.compile(rb"nnlite1 ([0-9a-f]{16}) (\d{1,15}) (\d{1,9}) ([0-9a-f]{8})\n")


@dataclass(frozen=True)
class Manifest:
    """One written value: its version (16 hex digits, never used before), its size, and how to check it."""

    version: str
    num_bytes: int
    num_chunks: int
    checksum: int
    inline: bytes = b""

    def encode(self) -> bytes:
        """The item: at most `MAX_HEADER_BYTES` longer than `inline`."""
        header = f"nnlite1 {self.version} {self.num_bytes} {self.num_chunks} {self.checksum:08x}\n"
        return header.encode() + self.inline

    @classmethod
    def decode(cls, item: bytes) -> Manifest | None:
        """Read what `encode` wrote; None for anything else."""
        header = _HEADER.match(item)
        if header is None:
            return None
        version, num_bytes, num_chunks, digest = header.groups()
        inline = item[header.end() :]
        return cls(version.decode(), int(num_bytes), int(num_chunks), int(digest, 16), inline)

    def chunk_names(self) -> list[str]:
        """No key has a '~', so they meet none."""
        return [f"~{self.version}.{number}" for number in range(self.num_chunks)]

    def fits(self, parts: Iterable[bytes]) -> bool:
        """Whether the parts, joined, are the very value that was written."""
        parts = list(parts)
        return sum(map(len, parts)) == self.num_bytes and checksum(parts) == self.checksum


def fresh_version() -> str:
    """64 random bits as hex: no writer needs to know of another, nor of a server's life before a restart."""
    return secrets.token_hex(8)


def checksum(parts: Iterable[bytes], value: int = 1) -> int:
    """Adler-32 of the joined parts, going on from `value`.

    Four times faster than CRC-32; and weights carry a content hash of their own.
    """
    for part in parts:
        value = zlib.adler32(part, value)
    return value


def cut(parts: Iterable[memoryview], size: int) -> Iterator[bytes]:
    """The joined parts in chunks of `size` bytes, the last one shorter; each byte is copied once."""
    pending: list[memoryview] = []
    room = size
    for part in parts:
        begin = 0
        while begin < len(part):
            piece = part[begin : begin + room]
            pending.append(piece)
            begin, room = begin + len(piece), room - len(piece)
            if not room:
                yield b"".join(pending)
                pending, room = [], size
    if pending:
        yield b"".join(pending)
