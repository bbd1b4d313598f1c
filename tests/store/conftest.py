"""Servers for the stores behind a network, and a disk that is soon full."""

from tests.disks import small_disk
from tests.servers import credentials, memcached, s3, three_memcached

__all__ = ["credentials", "memcached", "s3", "small_disk", "three_memcached"]
