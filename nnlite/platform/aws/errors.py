"""AWS' failures in words: what was asked, why not, and what to do."""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto

from nnlite.errors import NnliteError, RunError

_RENEW = "log in again (aws sso login), or renew AWS_SESSION_TOKEN"
_LOGIN = "run `aws configure`, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {
    "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure",
    "InvalidSignatureException", "InvalidToken", "IncompleteSignature", "MissingAuthenticationToken",
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403", "NotAuthorized"}


def code_of(error: Exception) -> str:
    """AWS' code of an error; "" for one that is not AWS'."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def message_of(error: Exception) -> str:
    """What AWS says, on one line."""
    response: dict[str, Any] = getattr(error, "response", {})
    return " ".join(str(response.get("Error", {}).get("Message") or error).split())


def explained(error: Exception, service: str, what: str) -> NnliteError:
    """A botocore error as one of ours.

    service: as IAM names it. what: was to be done, as in "create the stack nnlite".
    """
    code, cannot = code_of(error), f"cannot {what}"
    operation = getattr(error, "operation_name", "")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return RunError(f"{cannot}: no AWS credentials; {_LOGIN}")
    if isinstance(error, boto.ProfileNotFound):
        return RunError(f"{cannot}: {error}; see ~/.aws/config for those there are")
    if isinstance(error, boto.NoRegionError):
        return RunError(f"{cannot}: no region; name one (--region eu-west-1), or set AWS_DEFAULT_REGION")
    if code in _EXPIRED or isinstance(error, (boto.TokenRetrievalError, boto.SSOTokenLoadError)):
        return RunError(f"{cannot}: the AWS credentials have expired; {_RENEW}")
    if isinstance(error, boto.UnauthorizedSSOTokenError):
        return RunError(f"{cannot}: the AWS credentials have expired; {_RENEW}")
    if code in _UNKNOWN:
        return RunError(f"{cannot}: AWS does not know these credentials ({code}); {_LOGIN}")
    if code in _DENIED:
        return RunError(
            f"{cannot}: these credentials may not {service}:{_action(operation)}; allow it (docs/lambda.md lists "
            f"what is needed), or use another --profile. AWS says: {message_of(error)[:300]}"
        )
    if isinstance(error, (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ReadTimeoutError)):
        return RunError(f"{cannot}: AWS cannot be reached; check the network and --region ({message_of(error)[:200]})")
    if code:
        return RunError(f"{cannot}: {operation} says {code}: {message_of(error)[:400]}")
    return RunError(f"{cannot}: {type(error).__name__}: {message_of(error)[:400]}")


def _action(operation: str) -> str:
    """The IAM action of an operation: mostly its name."""
    return {"Invoke": "InvokeFunction", "HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket"}.get(
        operation, operation
    )
