"""S3's failures in words: which of them say "not there", which "later", and which "somebody must change something".

Only the code `NoSuchKey` is NotFound. A missing bucket, a refused access or another web server's 404 must never
look like a key that is not there yet: programs would wait for it.
"""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto

from nnlite.errors import NotFound, StoreError, StoreUnavailable

LATER_CODES = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"}
LATER_CODES |= {"TooManyRequests", "RequestLimitExceeded", "OperationAborted", "RequestTimeoutException"}
LATER_STATUSES = {429, 500, 502, 503, 504}
CONFLICT_STATUSES = {409, 412}

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the function a role"
_EXPIRED = "the credentials have expired: log in again (aws sso login), or renew AWS_SESSION_TOKEN"
_WRONG_KEY = f"the server does not know these credentials; {_CREDENTIALS}"
_REGION = "the bucket is in another region than asked; add ?region=REGION to --store"
_ADVICE = {
    "NoSuchBucket": "there is no such bucket; create it, or correct --store",
    "AccessDenied": "access denied; allow s3:GetObject, s3:PutObject and s3:DeleteObject on the prefix, and "
    "s3:ListBucket on the bucket (without it AWS says this of every key that is not there)",
    "AllAccessDisabled": "access denied: the bucket's owner has disabled it",
    "AccountProblem": "access denied: there is a problem with the AWS account",
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "InvalidToken": _WRONG_KEY,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes wrong; set it",
    "RequestExpired": "this machine's clock is more than 15 minutes wrong; set it",
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "EntityTooLarge": "the value is larger than the server takes (5 GB on AWS)",
    "InvalidObjectState": "the object was archived (Glacier); restore it",
    "QuotaExceeded": "the bucket is full",
    "403": "access denied; check the credentials and the bucket's policy",
    "404": "no S3 answer, but 404; is ?endpoint= the address of an S3 server?",
}


def code_of(error: Exception) -> tuple[str, int]:
    """(S3's code, the HTTP status); ("", 0) for an error that is not the server's."""
    if not isinstance(error, boto.ClientError):
        return "", 0
    answer: dict[str, Any] = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", "")), int(status)


def is_conflict(error: Exception) -> bool:
    """Whether a conditional PUT was refused for its condition, or another one came in between."""
    code, status = code_of(error)
    if status == 409:
        return code in ("ConditionalRequestConflict", "409", "Conflict", "OperationAborted")
    return status == 412 or code == "PreconditionFailed"


def explained(error: Exception, verb: str, key: str, url: str, endpoint: str) -> StoreError:
    """A botocore error as one of ours.

    verb, key: what was asked for. endpoint: where, as a person knows it.
    """
    code, status = code_of(error)
    if code == "NoSuchKey":
        return NotFound(f"no key {key!r} in {url}")
    what = f"cannot {verb} {key!r} in {url}"
    if code in LATER_CODES or status in LATER_STATUSES:
        return StoreUnavailable(f"{what}: the server says {status} {code}; it is overloaded or failing: try later")
    if code:
        text = " ".join(str(error.response["Error"].get("Message", "")).split())  # type: ignore[attr-defined]
        return StoreError(f"{what}: {_ADVICE.get(code) or f'{status} {code}: {text[:200]}'}")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return StoreError(f"{what}: no credentials; {_CREDENTIALS}")
    if isinstance(error, (boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError, boto.SSOTokenLoadError)):
        return StoreError(f"{what}: {_EXPIRED}")
    text = " ".join(str(error).split())[:200]
    if isinstance(error, boto.SSLError):
        return StoreError(f"{what}: no trust in {endpoint} ({text}); check ?endpoint= and the certificates")
    if isinstance(error, (boto.ReadTimeoutError, boto.ConnectTimeoutError)):
        return StoreUnavailable(f"{what}: {endpoint} did not answer in time; check the network and --store")
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, OSError)):
        return StoreUnavailable(f"{what}: {endpoint} cannot be reached; check --store ({text})")
    return StoreError(f"{what}: {text}; is {endpoint} an S3 server?")
