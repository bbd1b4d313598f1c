"""A stack's bucket: what is ours in it, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nnlite.errors import RunError, words
from nnlite.invoker.aws.account import CloudAccount, explaining
from nnlite.invoker.aws.errors import code_of, message_of

MAX_DELETED = 1000  # keys in one request
OURS = ("nnlite/", "deploy/")  #: everything that nnlite writes begins so


class Bucket:
    """One bucket, by its name."""

    def __init__(self, name: str, account: CloudAccount) -> None:
        self.name, self.account = name, account

    def exists(self) -> bool:
        """Whether it is there and ours. Raises RunError when it belongs to somebody else."""
        from botocore.exceptions import ClientError

        with explaining("s3", f"look for the bucket {self.name}"):
            try:
                self._client.head_bucket(Bucket=self.name)
                return True
            except ClientError as error:
                if code_of(error) in ("404", "NoSuchBucket"):
                    return False
                if code_of(error) in ("403", "AccessDenied", "301", "PermanentRedirect"):
                    raise RunError(
                        f"the bucket {self.name} is not to be had (AWS says {code_of(error)}: {message_of(error)}): it "
                        "belongs to another account or region, or these credentials may not s3:ListBucket it; choose "
                        "another stack_name="
                    ) from error
                raise

    def put_once(self, key: str, data: bytes) -> bool:
        """Upload, unless the key is there, as it is named by content. -> whether it was uploaded"""
        from botocore.exceptions import ClientError

        with explaining("s3", f"upload {key} to the bucket {self.name}"):
            try:
                self._client.head_object(Bucket=self.name, Key=key)
                return False
            except ClientError as error:
                if code_of(error) not in ("404", "NoSuchKey"):
                    raise
            self._client.put_object(Bucket=self.name, Key=key, Body=data)
        return True

    def check_all_ours(self) -> int:
        """How many objects are in it. Raises RunError when one of them is not nnlite's."""
        count = 0
        for key in self._keys():
            if not key.startswith(OURS):
                raise RunError(
                    f"the bucket {self.name} holds {key!r}, which nnlite has not written: move it elsewhere, then "
                    "delete again. Nothing was deleted"
                )
            count += 1
        return count

    def empty(self) -> None:
        """Delete all that is ours, many at once, or one by one where the server refuses that."""
        keys = [key for key in self._keys() if key.startswith(OURS)]
        for first in range(0, len(keys), MAX_DELETED):
            some = keys[first : first + MAX_DELETED]
            if not self._delete_at_once(some):
                for key in some:
                    with explaining("s3", f"delete {key!r} in the bucket {self.name}"):
                        self._client.delete_object(Bucket=self.name, Key=key)

    def _delete_at_once(self, keys: list[str]) -> bool:
        """-> False when that is refused: if each key would be refused as well, the next request says so."""
        from botocore.exceptions import ClientError

        objects = [{"Key": key} for key in keys]
        with explaining("s3", f"empty the bucket {self.name}"):
            try:
                answer = self._client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
            except ClientError:
                return False
        for error in answer.get("Errors", []):
            says = words(f"{error.get('Code')}: {error.get('Message')}")
            raise RunError(f"cannot delete {error.get('Key')!r} in the bucket {self.name}: AWS says {says}")
        return True

    def _keys(self) -> Iterator[str]:
        with explaining("s3", f"list the bucket {self.name}"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name):
                for entry in page.get("Contents", []):
                    yield entry["Key"]

    @property
    def _client(self) -> Any:
        return self.account.client("s3")
