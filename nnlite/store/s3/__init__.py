"""The store in S3: what only it needs, boto3, is imported when a first request is made."""

from nnlite.store.s3.store import S3Store

__all__ = ["S3Store"]
