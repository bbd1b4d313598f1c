"""S3 servers that misbehave: a proxy before a sound one, which has one fault, or several at once.

Faults that come now and then come at every so-maniest request, so that a request that is repeated gets through.
"""

from __future__ import annotations

import http.client
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.servers import CREDENTIALS
from tests.web import Answer, Request, Web

HOP_HEADERS = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}
GONE = Answer(0)


def error(status: int, code: str, message: str, *headers: tuple[str, str]) -> Answer:
    """A refusal as S3 words it."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, body.encode(), (("Content-Type", "application/xml"), *headers))


def has_header(request: Request, *parts: str) -> bool:
    return any(part in name.lower() for name in request.headers for part in parts)


def is_bulk(request: Request) -> bool:
    """Whether it deletes many keys."""
    return request.method == "POST" and urlsplit(request.path).query.startswith("delete")


def everything(_: Request) -> bool:
    return True


@dataclass(frozen=True)
class Fault:
    """At every `every`-th request that `strikes`: `instead` is answered, or what the server says is changed."""

    strikes: Callable[[Request], bool] = everything
    instead: Answer | None = None
    changed: Callable[[Answer], Answer] | None = None
    ask: Callable[[Request], Request] = lambda request: request  #: what is handed on
    every: int = 1


def refusing(status: int, code: str, message: str, strikes: Callable[[Request], bool] = everything) -> Fault:
    return Fault(strikes, error(status, code, message))


def a_get(request: Request) -> bool:
    return request.method == "GET"


def a_put(request: Request) -> bool:
    return request.method == "PUT"


def retagged(form: Callable[[str], str]) -> Callable[[Answer], Answer]:
    """An answer with its ETag in another form."""

    def changed(answer: Answer) -> Answer:
        headers = ((name, form(value) if name.lower() == "etag" else value) for name, value in answer.headers)
        return answer._replace(headers=tuple(headers))

    return changed


def damaged(answer: Answer) -> Answer:
    """With a bit of its body flipped; its headers, checksums among them, stay."""
    is_value = answer.status == 200 and answer.body
    return answer._replace(body=bytes([answer.body[0] ^ 1]) + answer.body[1:]) if is_value else answer


def cut(answer: Answer) -> Answer:
    """Breaking off in the middle of its body."""
    half = len(answer.body) // 2
    return answer._replace(body=answer.body[:half], num_missing=len(answer.body) - half) if answer.body else answer


def unconditional(request: Request) -> Request:
    """Without its conditions, and signed again: what a proxy does that does not know them."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    kept = {
        k: v for k, v in request.headers.items() if not k.lower().startswith(("if-", "authorization", "x-amz-date"))
    }
    made = AWSRequest(request.method, f"http://{kept['Host']}{request.path}", kept, request.body)
    keys = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    S3SigV4Auth(keys, "s3", "us-east-1").add_auth(made)
    return request._replace(headers=dict(made.headers.items()))


UNKNOWN_HEADER = (501, "NotImplemented", "A header you provided implies functionality that is not implemented.")
KMS = "User: arn:aws:iam::1:user/x is not authorized to perform: kms:GenerateDataKey on this resource"
REDIRECT = error(
    301,
    "PermanentRedirect",
    "The bucket must be addressed using another endpoint.",
    ("x-amz-bucket-region", "eu-west-1"),
)

#: servers with which a run works
SOUND: dict[str, Fault] = {
    "pass": Fault(),
    "delmd5": refusing(400, "MissingContentMD5", "Missing required header for this request: Content-Md5.",
                       lambda request: is_bulk(request) and not has_header(request, "content-md5")),
    "nobulk": refusing(*UNKNOWN_HEADER, is_bulk),
    "nochk": refusing(*UNKNOWN_HEADER, lambda request: has_header(request, "checksum", "x-amz-trailer")),
    "nodel": refusing(403, "AccessDenied", "Nothing is deleted here.",
                      lambda request: request.method == "DELETE" or is_bulk(request)),
    "slow": Fault(instead=error(503, "SlowDown", "Please reduce your request rate."), every=7),
    "c409": Fault(a_put, error(409, "ConditionalRequestConflict", "conflict"), every=3),
    "reset": Fault(instead=GONE, every=7),
    "lost": Fault(changed=lambda _: GONE, every=7),
    "cut": Fault(a_get, changed=cut, every=5),
    "flip": Fault(a_get, changed=damaged, every=5),
    "unq": Fault(changed=retagged(lambda etag: etag.strip('"'))),
    "weak": Fault(changed=retagged(lambda etag: f"W/{etag}")),
}  # fmt: skip
#: servers with which none can
UNSOUND: dict[str, Fault] = {
    "nocond": Fault(a_put, ask=unconditional),
    "noswap": Fault(lambda request: has_header(request, "if-match"), ask=unconditional),
    "condni": refusing(*UNKNOWN_HEADER, lambda request: a_put(request) and has_header(request, "if-")),
    "nocreate": refusing(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions did not hold.",
        lambda request: has_header(request, "if-none-match"),
    ),
    "gzip": Fault(changed=retagged(lambda etag: f'{etag[:-1]}-gzip"')),
    "skew": refusing(403, "RequestTimeTooSkewed", "The difference between the request time and ours is too large."),
    "expired": refusing(400, "ExpiredToken", "The provided token has expired."),
    "denied": refusing(403, "AccessDenied", "Access Denied"),
    "kms": refusing(403, "AccessDenied", KMS, lambda request: request.method in ("PUT", "GET")),
    "payer": refusing(403, "AccessDenied", "Requester pays bucket"),
    "html": Fault(instead=Answer(200, b"<html>Sign in to WiFi</html>", (("Content-Type", "text/html"),))),
    "redirect": Fault(instead=REDIRECT),
}


class Proxy:
    """Hands requests on to the server at `endpoint`, with faults. `asked`: all requests so far."""

    def __init__(self, endpoint: str, *faults: Fault) -> None:
        self._server = urlsplit(endpoint)
        self._faults = [(fault, itertools.count(1)) for fault in faults]
        self.asked: list[Request] = []
        self.web = Web(self._answer)

    def _answer(self, request: Request) -> Answer:
        self.asked.append(request)
        struck = [f for f, seen in self._faults if f.strikes(request) and next(seen) % f.every == 0]
        for fault in struck:
            if fault.instead is not None:
                return fault.instead
            request = fault.ask(request)
        answer = self._forward(request)
        for fault in struck:
            answer = fault.changed(answer) if fault.changed is not None and answer.status else answer
        return answer

    def _forward(self, request: Request) -> Answer:
        with closing(http.client.HTTPConnection(self._server.netloc, timeout=30)) as connection:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            found = connection.getresponse()
            headers = tuple((k, v) for k, v in found.getheaders() if k.lower() not in HOP_HEADERS)
            return Answer(found.status, found.read(), headers)


@contextmanager
def misbehaving(endpoint: str, *modes: str) -> Iterator[Proxy]:
    """A proxy with the faults of these modes; its URL is `.web.url`."""
    faults = SOUND | UNSOUND
    proxy = Proxy(endpoint, *(faults[mode] for mode in modes))
    try:
        yield proxy
    finally:
        proxy.web.close()
