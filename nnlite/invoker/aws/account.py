"""An AWS account in one region, as boto3 is configured: where every client comes from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from nnlite import required


@contextmanager
def explaining(service: str, what: str) -> Iterator[None]:
    """Turns errors of AWS into ours, as `errors.explained` says."""
    from nnlite.invoker.aws.errors import explained, is_explained

    try:
        yield
    except Exception as error:
        if not is_explained(error):
            raise
        raise explained(error, service, what) from error


class CloudAccount:
    """Credentials, profile and region as boto3 finds them, unless given here."""

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        self._profile, self._region = profile, region
        self._clients: dict[str, Any] = {}

    @cached_property
    def session(self) -> Any:
        """boto3's session."""
        import boto3

        required.check(boto3)
        with explaining("sts", "use AWS"):
            return boto3.session.Session(profile_name=self._profile, region_name=self._region)

    @property
    def region(self) -> str:
        """Where everything is. Raises RunError when neither a flag nor boto3's configuration says."""
        from botocore.exceptions import NoRegionError

        with explaining("sts", "use AWS"):
            if not self.session.region_name:
                raise NoRegionError()
        return str(self.session.region_name)

    @property
    def partition(self) -> str:
        """What its resources' names begin with: "aws", or "aws-cn", "aws-us-gov" and the like."""
        with explaining("sts", "use AWS"):
            return str(self.session.get_partition_for_region(self.region))

    @cached_property
    def number(self) -> str:
        """The account's id; asking for it also tells whether the credentials are good for anything."""
        with explaining("sts", "ask AWS who we are"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def client(self, service: str) -> Any:
        """A client that asks again when it is throttled, made once."""
        if service not in self._clients:
            from botocore.config import Config

            config = Config(
                connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 6, "mode": "standard"},
                max_pool_connections=32,
            )  # fmt: skip
            with explaining(service, "use AWS"):
                self._clients[service] = self.session.client(service, region_name=self.region, config=config)
        return self._clients[service]
