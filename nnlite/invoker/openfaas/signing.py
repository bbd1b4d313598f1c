"""Signatures of calls: a caller proves that it knows a secret, and calls now.

A gateway lets everybody call functions, so functions ask for an HMAC (RFC 2104, SHA-256) over time and body. The
time is that of the caller's clock; a call that is older, or younger, than `MAX_AGE_S` is refused, so a call that was
overheard cannot be repeated for ever. Within that time a repetition makes nothing new: a call of a worker names an
attempt, and a call that begins a run names it, if by nothing else then by its signature.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from nnlite.errors import NnliteError, UsageError

TIME, SIGNATURE = "X-Nnlite-Time", "X-Nnlite-Signature"
MAX_AGE_S = 900.0  # clocks differ, and a call may wait in a queue
MIN_SECRET_BYTES = 16
NAME_DIGITS = 12


class Refused(NnliteError, PermissionError):
    """A call that is unsigned, signed by another secret, or stale."""


def sign(secret: bytes, body: bytes, now_s: float) -> dict[str, str]:
    """The headers to send `body` with. now_s: seconds since 1970."""
    signed_s = f"{now_s:.0f}"
    return {TIME: signed_s, SIGNATURE: _digest(secret, signed_s, body)}


def check(secret: bytes, body: bytes, headers: Mapping[str, str], now_s: float) -> str:
    """Raise Refused unless the headers are a fresh signature of `body` under `secret`. -> the call's name: that of
    its repetitions, too, and of no other call.

    headers: asked by their exact names, so a plain dict, or a mapping that ignores case, as HTTP does.
    """
    signed_s, found = headers.get(TIME), headers.get(SIGNATURE)
    if not signed_s or not found:
        raise Refused(f"the call is not signed: expected the headers {TIME} and {SIGNATURE}")
    expected = _digest(secret, signed_s, body)
    if not hmac.compare_digest(found.encode(errors="replace"), expected.encode()):
        raise Refused("the call's signature is of another secret or another body: both sides need the same secret")
    try:
        age_s = abs(now_s - float(signed_s))
    except ValueError:
        raise Refused(f"the call's {TIME} is no number of seconds: {signed_s[:40]!r}") from None
    if not age_s <= MAX_AGE_S:
        raise Refused(f"the call is stale: signed {age_s:.0f} s from now, at most {MAX_AGE_S:.0f}; check the clocks")
    named = hashlib.sha256(expected.encode()).hexdigest()[:NAME_DIGITS]  # of a digest: a name tells nothing of it
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(float(signed_s)))}-{named}"


def checked_secret(secret: bytes, where: str) -> bytes:
    """The secret without the line end that editors add. Raises UsageError for one that could be guessed."""
    secret = secret.strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise UsageError(
            f"the secret in {where} has {len(secret)} bytes, expected at least {MIN_SECRET_BYTES}: "
            "make one with `openssl rand -hex 32`"
        )
    return secret


def _digest(secret: bytes, signed_s: str, body: bytes) -> str:
    signed = signed_s.encode(errors="replace") + b"\n" + body
    return "sha256=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
