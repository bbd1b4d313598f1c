"""AWS' failures in words: what was asked, why not in AWS' own words, and what to do."""

from __future__ import annotations

import re
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from nnlite.errors import NnliteError, RunError, words

_RENEW = "log in again (aws sso login), or renew AWS_SESSION_TOKEN"
_LOGIN = "run `aws configure`, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile="
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {
    "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure",
    "InvalidSignatureException", "InvalidToken", "IncompleteSignature", "MissingAuthenticationToken",
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403", "NotAuthorized"}
_NAMED = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_DEPLOYED = {"lambda", "events"}  #: services whose every resource that is asked for is of the stack
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)
_NO_LOGIN = (boto.TokenRetrievalError, boto.SSOTokenLoadError, boto.UnauthorizedSSOTokenError)
_NO_ANSWER = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ReadTimeoutError, boto.ConnectionClosedError)


def code_of(error: Exception) -> str:
    """AWS' code of an error; "" for one that is not AWS'."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def message_of(error: Exception) -> str:
    """What AWS, or boto3, says, on one line."""
    response: dict[str, Any] = getattr(error, "response", {})
    return words(response.get("Error", {}).get("Message") or error)


def is_explained(error: Exception) -> bool:
    """Whether it is a failure of boto3, or of AWS."""
    return isinstance(error, (boto.BotoCoreError, boto.ClientError, ResponseParserError))


def explained(error: Exception, service: str, what: str) -> NnliteError:
    """A botocore error as one of ours.

    service: as IAM names it. what: was to be done, as in "create the stack nnlite".
    """
    if isinstance(error, boto.ClientError):
        says, advice = f"AWS says {code_of(error)}: {message_of(error)}", _on_refusal(error, service)
    else:
        says, advice = message_of(error) or type(error).__name__, _on_failure(error)
    return RunError(f"cannot {what}: {says}{f'; {advice}' if advice else ''}")


def _on_refusal(error: boto.ClientError, service: str) -> str:
    """What to do when AWS has refused."""
    code = code_of(error)
    if code in _EXPIRED:
        return f"the credentials have expired; {_RENEW}"
    if code in _UNKNOWN:
        return f"AWS does not know these credentials; {_LOGIN}"
    if code in _DENIED:
        named = _NAMED.search(message_of(error))
        action = named[1] if named else f"{service}:{_action(error.operation_name)}"
        return f"these credentials may not {action}; allow it (docs/lambda.md has a list), or use another profile="
    if code == "ResourceNotFoundException" and service in _DEPLOYED:
        return "python -m tools.deploy makes it (or is it in another region=?)"
    return ""


def _on_failure(error: Exception) -> str:
    """What to do when AWS was not asked, or has not answered."""
    if isinstance(error, _NO_CREDENTIALS):
        return _LOGIN
    if isinstance(error, _NO_LOGIN):
        return f"the credentials have expired; {_RENEW}"
    if isinstance(error, boto.ProfileNotFound):
        return "~/.aws/config has those that there are"
    if isinstance(error, boto.NoRegionError):
        return "name a region (region='eu-west-1'), or set AWS_DEFAULT_REGION"
    if isinstance(error, _NO_ANSWER):
        return "AWS cannot be reached; check the network and region="
    if isinstance(error, ResponseParserError):
        return "that is no answer of AWS: is there a login page or a proxy between?"
    return ""


def _action(operation: str) -> str:
    """The IAM action of an operation: mostly its name."""
    return {"Invoke": "InvokeFunction", "HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket"}.get(
        operation, operation
    )
