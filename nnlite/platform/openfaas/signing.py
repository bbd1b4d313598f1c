"""Signatures of calls: who calls a function knows a secret, and calls now.

A gateway lets everybody call functions, so functions ask for an HMAC (RFC 2104, SHA-256) over time and body. The
time is that of the caller's clock; a call that is older, or younger, than `MAX_AGE_S` is refused, so a call that was
overheard cannot be repeated for ever. (Within that time a repetition does nothing: every call names an attempt.)
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from nnlite.errors import NnliteError, UsageError

TIME, SIGNATURE = "X-Nnlite-Time", "X-Nnlite-Signature"
MAX_AGE_S = 900.0  # clocks differ, and a call may wait in a queue
MIN_SECRET_BYTES = 16


class Refused(NnliteError, PermissionError):
    """A call that is unsigned, signed by another secret, or stale."""


def sign(secret: bytes, body: bytes, now_s: float) -> dict[str, str]:
    """The headers to send `body` with. now_s: seconds since 1970."""
    time = f"{now_s:.0f}"
    return {TIME: time, SIGNATURE: _digest(secret, time, body)}


def check(secret: bytes, body: bytes, headers: Mapping[str, str], now_s: float) -> None:
    """Raise Refused unless the headers are a fresh signature of `body` under `secret`.

    headers: asked by their exact names, so a plain dict, or a mapping that ignores case, as HTTP does.
    """
    time, found = headers.get(TIME), headers.get(SIGNATURE)
    if not time or not found:
        raise Refused(f"the call is not signed: expected the headers {TIME} and {SIGNATURE}")
    if not hmac.compare_digest(found.encode(), _digest(secret, time, body).encode()):
        raise Refused("the call's signature is of another secret or another body: both sides need the same secret")
    try:
        age_s = abs(now_s - float(time))
    except ValueError:
        raise Refused(f"the call's {TIME} is no number of seconds: {time[:40]!r}") from None
    if not age_s <= MAX_AGE_S:
        raise Refused(f"the call is stale: signed {age_s:.0f} s from now, at most {MAX_AGE_S:.0f}; check the clocks")


def checked_secret(secret: bytes, where: str) -> bytes:
    """The secret without the line end that editors add. Raises UsageError for one that could be guessed."""
    secret = secret.strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise UsageError(
            f"the secret in {where} has {len(secret)} bytes, expected at least {MIN_SECRET_BYTES}: "
            "make one with `openssl rand -hex 32`"
        )
    return secret


def _digest(secret: bytes, time: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret, time.encode() + b"\n" + body, hashlib.sha256).hexdigest()
