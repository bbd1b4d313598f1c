"""The store in S3: the contract on SeaweedFS."""

import uuid

import pytest

from nnlite.store.s3 import S3Store
from tests.servers import BUCKET

from .contract import OpenAgain, SharedStoreContract


class TestSeaweedFS(SharedStoreContract):
    @pytest.fixture
    def open_again(self, s3: str) -> OpenAgain:
        url = f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={s3}"
        return lambda: S3Store.from_url(url)
