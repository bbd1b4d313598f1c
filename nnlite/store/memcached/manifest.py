"""Manifest: what stands under a key in memcached, where an item holds less than 1 MiB.

A line of text, then the value itself if it fits into one item::

    nnlite1 <version> <num_bytes> <num_chunks> <checksum of what follows>\\n<value, if num_chunks is 0>

Otherwise the value lies in `num_chunks` items whose names are made of the version, which is fresh: so a chunk
is written once, and a reader that has the manifest can only meet its own chunks, or none.

A manifest that claims what no writer would have written is damaged or foreign: nothing is asked for on its word.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_HEADER_BYTES = 64
MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 16, 1_000_000  # an item is at most 1 MiB, with its name and header
MAX_CHUNKS = 65_536  # of a value: 65 GB
_HEADER = re.compile(rb"nnlite1 ([0-9a-f]{16}) (\d{1,15}) (\d{1,5}) ([0-9a-f]{8})\n")


@dataclass(frozen=True)
class Manifest:
    """One written value: its version (16 hex digits, never used before), its size, and where it lies."""

    version: str
    num_bytes: int
    num_chunks: int = 0
    inline: bytes = b""

    def encode(self) -> bytes:
        """The item: at most `MAX_HEADER_BYTES` longer than `inline`."""
        checksum = zlib.adler32(self.inline)  # 4 times faster than CRC-32
        header = f"nnlite1 {self.version} {self.num_bytes} {self.num_chunks} {checksum:08x}\n"
        return header.encode() + self.inline

    @classmethod
    def decode(cls, item: bytes) -> Manifest | None:
        """Read what `encode` wrote; None for anything else, be it foreign or damaged."""
        header = _HEADER.match(item)
        if header is None:
            return None
        version, num_bytes, num_chunks, checksum = header.groups()
        manifest = cls(version.decode(), int(num_bytes), int(num_chunks), item[header.end() :])
        is_sound = zlib.adler32(manifest.inline) == int(checksum, 16) and manifest.can_be()
        return manifest if is_sound else None

    def can_be(self) -> bool:
        """Whether a value of this size can lie in so many chunks, or in the manifest."""
        if not self.num_chunks:
            return self.fits([self.inline])
        least, most = (self.num_chunks - 1) * MIN_CHUNK_BYTES + 1, self.num_chunks * MAX_CHUNK_BYTES
        return self.num_chunks <= MAX_CHUNKS and least <= self.num_bytes <= most and not self.inline

    def chunk_names(self) -> list[str]:
        """No key has a '~', so they meet none."""
        return [f"~{self.version}.{number}" for number in range(self.num_chunks)]

    def fits(self, chunks: Iterable[bytes]) -> bool:
        """Whether the chunks have the size of the value.

        Their bytes are not summed up: that takes as long as sending them, and weights carry a content hash.
        """
        return sum(map(len, chunks)) == self.num_bytes


def fresh_version() -> str:
    """64 random bits as hex: no writer needs to know of another, nor of a server's life before a restart."""
    return secrets.token_hex(8)


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
