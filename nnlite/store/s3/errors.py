"""S3's failures in words: which of them say "not there", which "later", and which "somebody must change something".

Only the code `NoSuchKey` is NotFound. A missing bucket, a refused access or another web server's 404 must never
look like a key that is not there yet: programs would wait for it.

A message has the server's own words first, then our advice: only the server knows which of many reasons it was.
"""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from nnlite.errors import NnliteError, NotFound, StoreError, StoreUnavailable, words

LATER_CODES = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"}
LATER_CODES |= {"TooManyRequests", "RequestLimitExceeded", "OperationAborted", "RequestTimeoutException"}
LATER_STATUSES = {429, 500, 502, 503, 504}

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the function a role"
_WRONG_KEY = f"check the credentials: {_CREDENTIALS}"
_LOGIN = "log in again (aws sso login), or renew AWS_SESSION_TOKEN"
_CLOCK = "this machine's clock is more than 15 minutes wrong; set it"
_REGION = "the bucket is in another region than asked; add ?region={region} to store="
_KMS = "allow kms:GenerateDataKey and kms:Decrypt on the key that encrypts the bucket"
_ADVICE = {
    "NoSuchBucket": "create the bucket, or correct store=",
    "AccessDenied": "allow s3:GetObject, s3:PutObject and s3:DeleteObject on the prefix, and s3:ListBucket on the "
    "bucket (without it AWS says this of every key that is not there)",
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "InvalidToken": _WRONG_KEY,
    "ExpiredToken": _LOGIN,
    "ExpiredTokenException": _LOGIN,
    "TokenRefreshRequired": _LOGIN,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InvalidRegionName": _REGION,
    "301": _REGION,
    "EntityTooLarge": "the value is larger than the server takes (5 GB on AWS)",
    "InvalidObjectState": "the object was archived (Glacier); restore it",
    "QuotaExceeded": "the bucket is full",
    "NotImplemented": "nnlite needs a server with conditional writes (If-None-Match and If-Match of PUT), and one that "
    "knows checksums where they are asked for (AWS_REQUEST_CHECKSUM_CALCULATION=when_supported): leave that out",
    "403": "check the credentials and the bucket's policy",
    "404": "that is no S3 answer: is ?endpoint= the address of an S3 server?",
}
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)
_NO_LOGIN = (boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError, boto.SSOTokenLoadError)
_BROKEN = (boto.FlexibleChecksumError, boto.IncompleteReadError, boto.ResponseStreamingError)


class DamagedAnswerError(Exception):
    """A body that is not what was stored."""


class ForeignAnswerError(Exception):
    """A success that no S3 server would have answered with: some other web server stands there."""


def is_explained(error: Exception) -> bool:
    """Whether it is a failure of boto3, of the network, or an answer that is none; not one of ours already."""
    kinds = (boto.BotoCoreError, boto.ClientError, ResponseParserError, DamagedAnswerError, ForeignAnswerError, OSError)
    return (isinstance(error, kinds) or "urllib3" in type(error).__module__) and not isinstance(error, NnliteError)


def code_of(error: Exception) -> tuple[str, int]:
    """(S3's code, the HTTP status); ("", 0) for an error that is not the server's."""
    if not isinstance(error, boto.ClientError):
        return "", 0
    answer: dict[str, Any] = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", "")), int(status)


def is_conflict(error: Exception) -> bool:
    """Whether a conditional PUT was refused for its condition."""
    code, status = code_of(error)
    return status == 412 or code == "PreconditionFailed"


def is_busy(error: Exception) -> bool:
    """Whether a PUT was not done, conditional or not, as another one came in between."""
    code, status = code_of(error)
    return status == 409 and code in ("ConditionalRequestConflict", "409", "Conflict", "OperationAborted")


def explained(error: Exception, verb: str, key: str, url: str, endpoint: str) -> StoreError:
    """A failure of boto3, or an answer that is none, as an error of ours.

    verb, key: what was asked for. endpoint: where, as a person knows it.
    """
    code, status = code_of(error)
    if code == "NoSuchKey":
        return NotFound(f"no key {key!r} in {url}")
    what = f"cannot {verb} {key!r} in {url}"
    if isinstance(error, boto.ClientError):
        answer: Any = error.response
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        has_body = not error.operation_name.startswith("Head")
        if has_body and code == str(status) and "xml" in headers.get("content-type", ""):  # its code did not arrive
            return StoreUnavailable(f"{what}: the answer of {endpoint} broke off ({code}): try later")
        region = answer["Error"].get("Region") or headers.get("x-amz-bucket-region", "")
        return refusal(what, code, status, answer["Error"].get("Message", ""), region)
    return failure(error, what, endpoint)


def refusal(what: str, code: str, status: int = 0, message: object = "", region: str = "") -> StoreError:
    """What the server refused to do, in its words. region: where it says that the bucket is."""
    name = " ".join(filter(None, (str(status or ""), words(code) if code != str(status) else "")))
    text = words(message)
    says = f"{what}: the server says {name}{f': {text}' if text else ''}"
    if code in LATER_CODES or status in LATER_STATUSES:
        return StoreUnavailable(f"{says}; it is overloaded or failing: try later")
    advice = _KMS if "kms:" in text else _ADVICE.get(code or str(status), "").format(region=words(region) or "REGION")
    return StoreError(f"{says}; {advice}" if advice else says)


def failure(error: Exception, what: str, endpoint: str) -> StoreError:
    """What went wrong before, or between, boto3 and the server. what: could not be done, as in "cannot use s3://b/x"."""
    says = f"{what}: {words(error) or type(error).__name__}"
    if isinstance(error, _NO_CREDENTIALS):
        return StoreError(f"{says}; {_CREDENTIALS}")
    if isinstance(error, _NO_LOGIN):
        return StoreError(f"{says}; {_LOGIN}")
    if isinstance(error, boto.ProfileNotFound):
        return StoreError(f"{says}; AWS_PROFILE names it, and ~/.aws/config has those that there are")
    if isinstance(error, boto.NoRegionError):
        return StoreError(f"{says}; add ?region=REGION to store=, or set AWS_DEFAULT_REGION")
    if isinstance(error, boto.SSLError):
        return StoreError(f"{says}; there is no trust in {endpoint}: check ?endpoint= and the certificates")
    if isinstance(error, (boto.ReadTimeoutError, boto.ConnectTimeoutError)):
        return StoreUnavailable(f"{says}; {endpoint} did not answer in time; check the network and store=")
    if isinstance(error, (*_BROKEN, DamagedAnswerError)) or "urllib3" in type(error).__module__:
        return StoreUnavailable(f"{what}: the answer of {endpoint} broke off or was damaged ({words(error)})")
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, OSError)):
        return StoreUnavailable(f"{what}: {endpoint} cannot be reached; check store= ({words(error)})")
    if isinstance(error, (ForeignAnswerError, ResponseParserError)):
        return StoreError(f"{says}; was it {endpoint} that answered, or a login page or proxy before it?")
    return StoreError(says)
