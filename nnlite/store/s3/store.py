"""A store in an S3 bucket, on AWS or any server whose conditional writes are sound.

`If-None-Match: *` creates once, `If-Match: <etag>` swaps. A version is the etag, which S3 makes of the content:
the same bytes have the same version. So whatever is swapped contains a counter.

botocore repeats nothing here: a repeated create would meet its own first write and call it a conflict. Requests
are repeated by `store.retry.Retrying`, which knows what may be. Only one answer is handled in this module: 409,
"another write is under way and yours was not done".

Credentials are those that boto3 finds (environment, profile, role), never part of a URL.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from nnlite.errors import Conflict, NotFound, StoreError, StoreUnavailable, UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned, buffers, check_key, describe
from nnlite.store.options import read_options, show_options

SCHEME = "s3://"
NUM_THREADS = 16
MAX_DELETED = 1000  # keys in one request
NUM_CONFLICT_RETRIES = 6
CONFLICT_PAUSE_S = 0.05
DEFAULTS = {"endpoint": "", "region": "", "connect_timeout_s": 3.0, "timeout_s": 20.0}

_EXPECTED = "expected s3://bucket/prefix[?endpoint=http://host:port&region=us-east-1]"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=+,@/ -]*")
_ETAG = re.compile(r'"[^"*]+"')


class S3Store(Store):
    """Objects `prefix/key` in `bucket`. Makes its client, which costs 0.4 s, when it first needs one.

    endpoint: of a server other than AWS. region: where AWS is asked, if not as boto3 is configured.
    timeout_s: of one read; connect_timeout_s: of one connection, in seconds.
    client: a ready boto3 client, for tests. sleep: takes seconds, between two tries after a 409.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str = "",
        region: str = "",
        connect_timeout_s: float = 3.0,
        timeout_s: float = 20.0,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._options: dict[str, Any] = {"endpoint": endpoint.rstrip("/"), "region": region}
        self._options |= {"connect_timeout_s": connect_timeout_s, "timeout_s": timeout_s}
        self._client, self._sleep = client, sleep
        self._making = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    @classmethod
    def from_url(cls, url: str) -> S3Store:
        """`s3://bucket/prefix[?endpoint=...&region=...&timeout_s=...&connect_timeout_s=...]`"""
        parts = urlsplit(url)
        prefix = unquote(parts.path).strip("/")
        sound = _BUCKET.fullmatch(parts.netloc) and _PREFIX.fullmatch(prefix) and "//" not in prefix
        if parts.scheme + "://" != SCHEME or not sound or parts.fragment or len(prefix) > 800:
            raise UsageError(f"{url!r} is not an S3 store: {_EXPECTED}")
        options = read_options(url, parts.query, DEFAULTS)
        endpoint = urlsplit(options.get("endpoint", "http://default"))
        if endpoint.scheme not in ("http", "https") or not endpoint.hostname:
            raise UsageError(f"{url!r}: endpoint is the URL of a server, as in ?endpoint=http://127.0.0.1:8333")
        return cls(parts.netloc, prefix, **options)

    @property
    def url(self) -> str:
        place = f"{SCHEME}{self._bucket}/{quote(self._prefix.rstrip('/'))}"
        return f"{place}{show_options(self._options, DEFAULTS)}"

    def close(self) -> None:
        with self._making:
            pool, self._pool = self._pool, None
            client, self._client = self._client, None
        if pool:
            pool.shutdown()
        if client:
            client.close()

    def get(self, key: str) -> Versioned:
        name = self._prefix + check_key(key)
        try:
            answer = self._s3().get_object(Bucket=self._bucket, Key=name)
            with answer["Body"] as body:
                return Versioned(body.read(), Version(answer["ETag"]))
        except Exception as error:
            raise self._explained(error, "read", key) from error

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        """In parallel, at most `NUM_THREADS` at a time."""
        keys = [check_key(key) for key in keys]
        if len(keys) < 2:
            return [self._get_or_none(key) for key in keys]
        with self._making:
            self._pool = self._pool or ThreadPoolExecutor(NUM_THREADS, "s3-get-many")
            pool = self._pool
        return list(pool.map(self._get_or_none, keys))

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        name = self._prefix + check_key(key)
        parts = buffers(data)
        condition = {}
        if if_version is ABSENT:
            condition = {"IfNoneMatch": "*"}
        elif if_version is not None:
            if not _ETAG.fullmatch(if_version):  # an empty one would be no condition at all, and * any
                raise self._conflict(key, if_version)
            condition = {"IfMatch": if_version}
        body = b"".join(parts)
        request = {"Bucket": self._bucket, "Key": name, "Body": body, **condition, **self._checksum(body)}
        for turn in range(NUM_CONFLICT_RETRIES):
            try:
                self._s3().put_object(**request)
                return
            except Exception as error:
                self._check_refusal(error, key, if_version)
            self._sleep(CONFLICT_PAUSE_S * 2**turn)
        raise StoreUnavailable(f"{key!r} in {self.url}: {NUM_CONFLICT_RETRIES} times 409, others write it: try later")

    def delete(self, key: str) -> None:
        name = self._prefix + check_key(key)
        try:
            self._s3().delete_object(Bucket=self._bucket, Key=name)
        except Exception as error:
            explained = self._explained(error, "delete", key)
            if not isinstance(explained, NotFound):
                raise explained from error

    def folders(self, under: str) -> list[str]:
        """Names of the folders right below the folder `under` (with a slash at its end), sorted."""
        where = self._prefix + under
        try:
            pages = (
                self._s3().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=where, Delimiter="/")
            )
            names = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
        except Exception as error:
            raise self._explained(error, "list", under) from error
        return sorted(name[len(where) :].rstrip("/") for name in names)

    def delete_many(self, keys: Iterable[str]) -> None:
        """One request for up to `MAX_DELETED` keys."""
        names = [{"Key": self._prefix + check_key(key)} for key in keys]
        for start in range(0, len(names), MAX_DELETED):
            some = names[start : start + MAX_DELETED]
            what = some[0]["Key"].removeprefix(self._prefix)
            try:
                answer = self._s3().delete_objects(Bucket=self._bucket, Delete={"Objects": some, "Quiet": True})
            except Exception as error:
                raise self._explained(error, "delete", what) from error
            for refused in answer.get("Errors", ()):
                if refused.get("Code") != "NoSuchKey":
                    key, code = refused.get("Key", what), refused.get("Code", "an error")
                    raise StoreUnavailable(f"cannot delete {key!r} in {self.url}: the server says {code}; try later")

    def _checksum(self, body: bytes) -> dict[str, str]:
        """For servers other than AWS: of a writer that dies between headers and body, SeaweedFS keeps an empty object
        unless it was told what to expect. AWS gets a CRC from botocore."""
        if not self._options["endpoint"]:
            return {}
        return {"ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}

    def _check_refusal(self, error: Exception, key: str, condition: Condition) -> None:
        """Raises what a failed PUT means; returns if the same PUT should be made again."""
        from nnlite.store.s3 import errors as s3_errors

        explained = self._explained(error, "write", key)
        is_gone = isinstance(explained, NotFound)  # AWS says 404 to If-Match where there is nothing
        if condition is None or not (is_gone or s3_errors.is_conflict(error)):
            raise explained from error
        if s3_errors.code_of(error)[1] != 409:
            raise self._conflict(key, condition) from error

    def _conflict(self, key: str, condition: Version | Any) -> Conflict:
        if condition is ABSENT:
            found = "a value"
        else:
            value = self._get_or_none(key)
            found = describe(value.version if value else ABSENT)
        return Conflict(f"{key!r} in {self.url}: expected {describe(condition)}, found {found}; read it again")

    def _explained(self, error: Exception, verb: str, key: str) -> StoreError:
        """What a failure of boto3 means; any other exception goes on its way."""
        from botocore.exceptions import BotoCoreError, ClientError

        from nnlite.store.s3 import errors as s3_errors

        if not isinstance(error, (BotoCoreError, ClientError, OSError)) and "urllib3" not in type(error).__module__:
            raise error
        return s3_errors.explained(error, verb, key, self.url, self._options["endpoint"] or "AWS")

    def _s3(self) -> Any:
        """The client, made once."""
        with self._making:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _make_client(self) -> Any:
        from botocore.config import Config

        endpoint, region = self._options["endpoint"], self._options["region"]
        config = Config(
            connect_timeout=self._options["connect_timeout_s"],
            read_timeout=self._options["timeout_s"],
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=NUM_THREADS,
            tcp_keepalive=True,
            s3={"addressing_style": "path" if endpoint else "auto"},
            # AWS checks each upload's CRC; servers of others often do not know the header that asks for it.
            request_checksum_calculation="when_required" if endpoint else "when_supported",
            response_checksum_validation="when_required" if endpoint else "when_supported",
        )
        region = region or ("us-east-1" if endpoint else None)  # a signature needs one
        with _session_lock:
            return _session().client("s3", endpoint_url=endpoint or None, region_name=region, config=config)


_session_lock = threading.Lock()  # clients are safe between threads, making them is not


@functools.cache
def _session() -> Any:
    """One for the process: the second client costs 3 ms, the first 50 and 200 for the import."""
    import boto3

    return boto3.session.Session()
