"""What the tests of runs share with those of the tools."""

from tests.disks import small_disk

__all__ = ["small_disk"]
