"""A store in an S3 bucket, on AWS or any server whose conditional writes are sound.

`If-None-Match: *` creates once, `If-Match: <etag>` swaps. A version is the etag, which S3 makes of the content:
the same bytes have the same version. So whatever is swapped contains a counter.

botocore repeats nothing here: a repeated create would meet its own first write and call it a conflict. Requests
are repeated by `store.retry.Retrying`, which knows what may be. Only one answer is handled in this module: 409,
"another write is under way and yours was not done".

Credentials are those that boto3 finds (environment, profile, role), never part of a URL.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote

from nnlite.errors import Conflict, NotFound, PartlyUnavailable, StoreError, StoreUnavailable, UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned, buffers, check_key, describe
from nnlite.store.options import read_options, show_options
from nnlite.store.s3.answers import MD5_NAME, value_of, version_of
from nnlite.store.s3.parallel import Parallel
from nnlite.store.urls import address, shown, split

SCHEME = "s3://"
MAX_DELETED = 1000  # keys in one request
NUM_CONFLICT_RETRIES = 6
CONFLICT_PAUSE_S = 0.05
BUSY, OWN_VERSION = "another write is under way", "it refused the version that it gave"
DEFAULTS = {"endpoint": "", "region": "", "connect_timeout_s": 3.0, "timeout_s": 20.0}

_EXPECTED = "expected s3://bucket/prefix[?endpoint=http://host:port&region=us-east-1]"
_ENDPOINT = "endpoint is the URL of a server, as in ?endpoint=http://127.0.0.1:8333"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=+,@/ -]*")
_ETAG = re.compile(r'"[^"*]+"')


class S3Store(Store):
    """Objects `prefix/key` in `bucket`. Makes its client, which costs 0.4 s, when it first needs one.

    endpoint: of a server, if not where boto3 is configured to look. region: the same of the region.
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
        self._parallel = Parallel()
        self._has_bulk = True  #: until the server refuses to delete many keys at once

    @classmethod
    def from_url(cls, url: str) -> S3Store:
        """`s3://bucket/prefix[?endpoint=...&region=...&timeout_s=...&connect_timeout_s=...]`"""
        parts = split(url, _EXPECTED)
        prefix = unquote(parts.path).strip("/")
        sound = _BUCKET.fullmatch(parts.netloc) and _PREFIX.fullmatch(prefix) and "//" not in prefix
        if parts.scheme + "://" != SCHEME or not sound or parts.fragment or len(prefix) > 800:
            raise UsageError(f"{shown(url)} is not an S3 store: {_EXPECTED}")
        options = read_options(url, parts.query, DEFAULTS)
        endpoint = split(options.get("endpoint", "http://default"), _ENDPOINT)
        if (
            endpoint.scheme not in ("http", "https")
            or address(endpoint.netloc, 80) is None
            or endpoint.query
            or endpoint.fragment
        ):
            raise UsageError(f"{shown(url)}: {_ENDPOINT}")
        return cls(parts.netloc, prefix, **options)

    @property
    def url(self) -> str:
        place = f"{SCHEME}{self._bucket}/{quote(self._prefix.rstrip('/'))}"
        return f"{place}{show_options(self._options, DEFAULTS)}"

    def close(self) -> None:
        self._parallel.close()
        with self._making:
            client, self._client = self._client, None
        if client:
            client.close()

    def get(self, key: str) -> Versioned:
        name = self._prefix + check_key(key)
        try:
            return value_of(self._s3().get_object(Bucket=self._bucket, Key=name))
        except Exception as error:
            raise self._explained(error, "read", key) from error

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        """One GET a key, in parallel."""
        keys = [check_key(key) for key in keys]
        values = self._parallel.ask(self._get_or_none, keys)
        return [values[key] for key in keys]

    def missing(self, keys: Iterable[str]) -> list[str]:
        """One HEAD a key, in parallel."""
        gone = self._parallel.ask(self._lacks, [check_key(key) for key in keys])
        return [key for key, is_gone in gone.items() if is_gone]

    def _lacks(self, key: str) -> bool:
        from nnlite.store.s3 import errors as s3_errors

        try:
            version_of(self._s3().head_object(Bucket=self._bucket, Key=self._prefix + key))
        except Exception as error:
            if s3_errors.code_of(error)[1] == 404:  # nothing in it says of what: of a bucket the next write will tell
                return True
            raise self._explained(error, "look for", key) from error
        return False

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        name = self._prefix + check_key(key)
        parts = buffers(data)
        condition = {}
        if if_version is ABSENT:
            condition = {"IfNoneMatch": "*"}
        elif if_version is not None:
            if not _ETAG.fullmatch(if_version):  # an empty one would be no condition at all, and * any
                raise self._conflict(key, if_version)[0]
            condition = {"IfMatch": if_version}
        body = b"".join(parts)
        request = {"Bucket": self._bucket, "Key": name, "Body": body, **condition}
        why = ""
        for turn in range(NUM_CONFLICT_RETRIES):
            try:
                s3 = self._s3()
                version_of(s3.put_object(**request, **self._checksum(s3, body)))
                return
            except Exception as error:
                why = self._check_refusal(error, key, if_version)
            self._sleep(CONFLICT_PAUSE_S * 2**turn)
        if why == OWN_VERSION:
            raise StoreError(self._useless(key))
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
        """One request for up to `MAX_DELETED` keys, or one each where the server refuses that."""
        keys = [check_key(key) for key in keys]
        gone: dict[str, None] = {}
        for start in range(0, len(keys), MAX_DELETED):
            some = keys[start : start + MAX_DELETED]
            try:
                if not (self._has_bulk and self._delete_at_once(some)):
                    self._parallel.ask(self.delete, some)
                    self._has_bulk = False
            except StoreUnavailable as error:
                raise PartlyUnavailable(str(error), {**gone, **getattr(error, "answers", {})}) from error
            gone.update(dict.fromkeys(some))

    def _delete_at_once(self, keys: list[str]) -> bool:
        """-> False when the server refuses: if it would refuse every key as well, the next request says so."""
        from nnlite.store.s3 import errors as s3_errors

        objects = [{"Key": self._prefix + key} for key in keys]
        try:
            answer = self._s3().delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        except Exception as error:
            explained = self._explained(error, "delete", keys[0])
            if isinstance(explained, StoreUnavailable):
                raise explained from error
            return False
        for refused in answer.get("Errors", ()):
            code, name = str(refused.get("Code", "")), str(refused.get("Key", "")).removeprefix(self._prefix)
            if code != "NoSuchKey":
                what = f"cannot delete {name!r} in {self.url}"
                raise s3_errors.refusal(what, code, message=refused.get("Message", ""))
        return True

    def is_foreign(self) -> bool:
        """Whether the server is another than AWS, whose conditional writes are to be tried out."""
        from nnlite.store.s3 import client

        return not client.is_aws(self._s3())

    def _checksum(self, s3: Any, body: bytes) -> dict[str, Any]:
        """For servers other than AWS: of a writer that dies between headers and body, SeaweedFS keeps an empty object
        unless it was told what to expect; and what is read is compared with it. AWS gets a CRC from botocore."""
        from nnlite.store.s3 import client

        if client.is_aws(s3):
            return {}
        md5 = client.md5_of(body)
        return {"ContentMD5": md5, "Metadata": {MD5_NAME: md5}}

    def _check_refusal(self, error: Exception, key: str, condition: Condition) -> str:
        """Raises what a failed PUT means; -> why the same PUT should be made again."""
        from nnlite.store.s3 import errors as s3_errors

        if s3_errors.is_busy(error):
            return BUSY
        explained = self._explained(error, "write", key)
        is_gone = isinstance(explained, NotFound)  # AWS says 404 to If-Match where there is nothing
        if condition is None or not (is_gone or s3_errors.is_conflict(error)):
            raise explained from error
        conflict, found = self._conflict(key, condition)
        if found is None or found != condition:
            raise conflict from error
        return OWN_VERSION  # a read that was late, or a server that knows its own ETags only by another name

    def _conflict(self, key: str, condition: Version | Any) -> tuple[Conflict, Version | None]:
        """(what to raise, the version that stands there, if that was asked for)"""
        version = None
        if condition is ABSENT:
            found = "a value"
        else:
            value = self._get_or_none(key)
            version = value.version if value else None
            found = describe(version or ABSENT)
        says = f"{key!r} in {self.url}: expected {describe(condition)}, found {found}; read it again"
        return Conflict(says), version

    def _useless(self, key: str) -> str:
        """What to say of a server that refuses to swap the version which it says is there."""
        try:
            answer = self._s3().get_object(Bucket=self._bucket, Key=self._prefix + key)
            answer["Body"].close()
        except Exception as error:
            raise self._explained(error, "read", key) from error
        etag = answer.get("ETag")
        return (
            f"cannot swap {key!r} in {self.url}: the server gives the ETag {etag} and refuses an If-Match of it (412), "
            "so no conditional write can succeed; ask it without the proxy before it, or use another store="
        )

    def _explained(self, error: Exception, verb: str, key: str) -> StoreError:
        """What a failure of boto3 means; any other exception goes on its way."""
        from nnlite.store.s3 import errors as s3_errors

        if not s3_errors.is_explained(error):
            raise error
        return s3_errors.explained(error, verb, key, self.url, self._where())

    @property
    def place(self) -> str:
        return f"{self.url} {self._s3().meta.endpoint_url}"

    def _where(self) -> str:
        """The server, as a person knows it."""
        from nnlite.store.s3 import client

        if self._client is None or client.is_aws(self._client):
            return str(self._options["endpoint"]) or "AWS"
        return str(self._client.meta.endpoint_url)

    def _s3(self) -> Any:
        """The client, made once."""
        with self._making:
            if self._client is None:
                from nnlite.store.s3 import client
                from nnlite.store.s3 import errors as s3_errors

                try:
                    self._client = client.make(**self._options)
                except Exception as error:
                    if not s3_errors.is_explained(error):
                        raise
                    raise s3_errors.failure(error, f"cannot use {self.url}", self._where()) from error
            return self._client
