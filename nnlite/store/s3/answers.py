"""Answers of an S3 server, read strictly: with an ETag, and a body that is whole and what was stored."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

from nnlite.store.base import Version, Versioned

MD5_NAME = "md5chksum"  #: of the metadata with a value's MD5, in base64, as other tools write it
_ETAG = re.compile(r'(?:W/)?"?([^"*]+)"?')


def version_of(answer: Any) -> Version:
    """The ETag as If-Match takes it, which some servers, and proxies, give as W/"x" or without quotes.

    Raises ForeignAnswerError when there is none: then it was not an S3 server, and nothing was written.
    """
    etag = str(answer.get("ETag", ""))
    found = _ETAG.fullmatch(etag)
    if found is None:
        from nnlite.store.s3.errors import ForeignAnswerError

        raise ForeignAnswerError(f"success was answered, but with {f'the ETag {etag}' if etag else 'no ETag'}")
    return Version(f'"{found[1]}"')


def value_of(answer: Any) -> Versioned:
    """The object. Raises a botocore error, or DamagedAnswerError, when the body broke off or is another one.

    botocore compares lengths and checksums in `read` of its own body: as a context manager that would give the stream
    below it, which compares nothing.
    """
    from nnlite.store.s3.client import md5_of
    from nnlite.store.s3.errors import DamagedAnswerError

    with closing(answer["Body"]):
        data = answer["Body"].read()
    version = version_of(answer)
    expected = answer.get("Metadata", {}).get(MD5_NAME)
    if expected is not None and md5_of(data) != expected:
        raise DamagedAnswerError(f"expected MD5 {expected}, found {md5_of(data)}")
    return Versioned(data, version)
