"""The client of an S3 server: boto3's, as the user has configured it.

What the environment or the profile says of checksums, addressing style, region, endpoint or certificates holds. Where
it says nothing of checksums, a server other than AWS is sent Content-MD5, which all of them know, in place of the
newer ones, which many refuse.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import threading
from typing import Any
from urllib.parse import urlsplit

from nnlite import required
from nnlite.errors import UsageError

NUM_CONNECTIONS = 16
_AWS = re.compile(r"(.+\.)?(amazonaws\.(com|com\.cn|eu)|api\.aws|(c2s|csp)\.(ic|hci\.ic)\.gov|sc2s\.sgov\.gov)")
_CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")
_NEWER = re.compile(r"x-amz-(checksum-.*|sdk-checksum-algorithm|trailer)", re.IGNORECASE)


def is_aws(client: Any) -> bool:
    """Whether the client asks AWS, and not another server."""
    return _is_aws(client.meta.endpoint_url)


def _is_aws(url: str) -> bool:
    return _AWS.fullmatch(urlsplit(url).hostname or "") is not None


def make(endpoint: str, region: str, connect_timeout_s: float, timeout_s: float) -> Any:
    """A client of the server at `endpoint`, or where boto3 is configured to look if that is empty.

    Raises UsageError for a configuration that boto3 cannot read.
    """
    options = {"connect_timeout": connect_timeout_s, "read_timeout": timeout_s}
    with _making:
        try:
            client = _make(endpoint, region, options)
            found = client.meta.endpoint_url
            if endpoint or _is_aws(found):
                return client
            client.close()
            return _make(found, region, options)  # AWS_ENDPOINT_URL, or the profile's
        except ValueError as error:
            raise UsageError(f"boto3 cannot be used as it is configured: {error}") from None


def _make(endpoint: str, region: str, options: dict[str, float]) -> Any:
    from botocore.config import Config

    session, is_foreign = _session(), bool(endpoint) and not _is_aws(endpoint)
    free = {name: "when_required" for name in _CHECKSUMS if is_foreign and not _chosen(name)}
    config = Config(
        **options,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=NUM_CONNECTIONS,
        tcp_keepalive=True,
        **free,
    )
    where = region or session.region_name or ("us-east-1" if is_foreign else None)  # a signature needs one
    client = session.client("s3", endpoint_url=endpoint or None, region_name=where, config=config)
    if is_foreign:
        client.meta.events.register("before-sign.s3.DeleteObjects", functools.partial(_say_md5, set(free)))
    return client


def _chosen(name: str) -> bool:
    """Whether the user has chosen a value for a setting of botocore."""
    return bool(os.environ.get(f"AWS_{name.upper()}") or _core().get_scoped_config().get(name))


def md5_of(data: bytes) -> str:
    """As the header Content-MD5 has it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _say_md5(free: set[str], request: Any, **_: Any) -> None:
    """Deleting many objects needs a checksum: the old one, and the newer ones only if the user has chosen them."""
    request.headers["Content-MD5"] = md5_of(request.body)
    if _CHECKSUMS[0] in free:
        for name in filter(_NEWER.fullmatch, list(request.headers)):
            del request.headers[name]


_making = threading.Lock()  # clients are safe between threads, making them is not


@functools.cache
def _core() -> Any:
    """One session for the process: the second client costs 3 ms, the first 50 and 200 for the import."""
    import botocore.session

    return botocore.session.get_session()


@functools.cache
def _session() -> Any:
    import boto3

    required.check(boto3)
    return boto3.session.Session(botocore_session=_core())


def forget_session() -> None:
    """Look for credentials and configuration again, which boto3 does once a session."""
    _core.cache_clear()
    _session.cache_clear()
