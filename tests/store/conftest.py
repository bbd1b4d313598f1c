"""Servers for the stores behind a network."""

from tests.servers import credentials, memcached, s3, three_memcached

__all__ = ["credentials", "memcached", "s3", "three_memcached"]
