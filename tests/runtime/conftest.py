"""What the tests of runs share with those of the tools and the stores."""

from tests.disks import small_disk
from tests.servers import credentials, s3

__all__ = ["credentials", "s3", "small_disk"]
