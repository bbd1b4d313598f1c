"""A function from inside: its settings, which calls it hears, and how what it does becomes an answer."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nnlite.errors import NnliteError, RunError, StoreUnavailable, Unasked, UsageError
from nnlite.invoker.openfaas import signing
from nnlite.invoker.openfaas.credentials import gateway_url
from nnlite.invoker.openfaas.gateway import Gateway
from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker
from nnlite.records import Unsound, parse
from nnlite.records.fields import any_object

SECRETS = "/var/openfaas/secrets"
MAX_BODY_BYTES = 16 * 1024  #: of a call: many times what the longest of ours has
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Call(Protocol):
    """What the template hands to `handle` as its event."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """What `environment` in stack.yaml says to every function of ours."""

    gateway_url: str = "http://gateway.openfaas:8080"  #: as it is reached from inside
    train_function: str = "emnist-train"
    invocation: str = "sync"
    secrets: str = SECRETS
    secret_name: str = "nnlite-hmac"
    exec_timeout_s: float = 30.0  #: the watchdog's own default
    require_signature: bool = True  #: of a function that could do with unsigned calls
    store: str = ""  #: URL of the runs that this function begins

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read the environment, once. Raises UsageError for what cannot be meant."""
        texts = ("gateway_url", "train_function", "invocation", "secret_name", "store")
        given: dict[str, Any] = {name: environ[name] for name in texts if environ.get(name)}
        given["secrets"] = environ.get("secret_mount_path") or SECRETS
        if "gateway_url" in given:
            given["gateway_url"] = gateway_url(given["gateway_url"], {})
        if environ.get("exec_timeout"):
            given["exec_timeout_s"] = duration_s(environ["exec_timeout"])
        if environ.get("require_signature"):
            given["require_signature"] = _flag("require_signature", environ["require_signature"])
        return cls(**given)

    def secret(self) -> bytes:
        """The secret of this function. Raises RunError when it has none, or cannot read it."""
        path = Path(self.secrets) / self.secret_name
        try:
            return signing.checked_secret(path.read_bytes(), str(path))
        except OSError as error:
            advice = "it has to be a file that the function's user may read"
            if isinstance(error, FileNotFoundError):
                advice = f"`faas-cli secret create {self.secret_name} --from-file FILE`, name it under `secrets` in "
                advice += "stack.yaml, and deploy again"
            what = f"the function cannot read its secret {self.secret_name!r}"
            raise RunError(f"{what} ({path}: {error.strerror or error}): {advice}") from None

    def store_url(self) -> str:
        """The store of runs that begin here. Raises UsageError when there is none."""
        if not self.store:
            raise UsageError("the function has no `store`: name one under `environment` in stack.yaml")
        return self.store

    def platform(self, run: str, store_url: str, spec_sha256: str) -> OpenFaaSInvoker:
        """How this function starts other invocations of a run."""
        gateway = Gateway(self.gateway_url, secret=self.secret())
        timeout_s = self.exec_timeout_s + 15.0
        return OpenFaaSInvoker(
            gateway, run, store_url, self.train_function, spec_sha256, self.invocation, timeout_s=timeout_s
        )

    def remaining_s(self) -> Callable[[], float]:
        """A clock that says how long this invocation may go on; it starts now."""
        ends_s = time.monotonic() + self.exec_timeout_s
        return lambda: ends_s - time.monotonic()


def duration_s(text: str) -> float:
    """Seconds of a duration as Go writes them: 90s, 5m, 1h30m. Raises UsageError for anything else."""
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text):
        raise UsageError(f"duration {text!r}: wanted one like 90s, 5m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|m|s)", text))


@dataclass(frozen=True)
class Heard:
    """A call that is heard."""

    values: dict[str, Any]  #: its body, decoded; {} if that was empty
    name: str | None  #: what distinguishes a signed call from all others but its own repetitions; None: not signed


def answer(
    call: Call, work: Callable[[Settings, Heard], dict[str, Any]], may_be_unsigned: bool = False
) -> dict[str, Any]:
    """Do `work` for a call that may be heard, and say what came of it in the template's terms.

    may_be_unsigned: hear unsigned calls as well, unless the settings require a signature. A signature that is there
    has to be right in any case. Nothing of a call is parsed before its size and signature are known to be right.

    The body of the answer always has an "event"; an "error" is one that a second call would only meet again,
    "unavailable" one that it need not.
    """
    try:
        settings = Settings.of(os.environ)
        heard = _heard(call, settings, may_be_unsigned and not settings.require_signature)
        return _as_response(200, work(settings, heard))
    except signing.Refused as error:
        return _as_response(401, _event("error", error))
    except (UsageError, Unasked) as error:
        return _as_response(400, _event("error", error))
    except StoreUnavailable as error:
        return _as_response(503, _event("unavailable", error))
    except NnliteError as error:
        return _as_response(500, _event("error", error))
    except Exception as error:  # the template would answer with a page of HTML
        unexpected = RunError(f"the function failed: {type(error).__name__}: {error} (unexpected)")
        return _as_response(500, _event("error", unexpected))


def _heard(call: Call, settings: Settings, may_be_unsigned: bool) -> Heard:
    """The call, if it may be heard. Raises Refused; UsageError for a body that cannot be meant."""
    if len(call.body) > MAX_BODY_BYTES:
        raise UsageError(f"the call's body has {len(call.body):,} bytes, at most {MAX_BODY_BYTES:,} are read")
    name = None
    if not may_be_unsigned or signing.SIGNATURE in call.headers:
        name = signing.check(settings.secret(), call.body, call.headers, time.time())
    return Heard(_decoded(call.body), name)


def _decoded(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; nothing but blanks is {}."""
    if not body.strip():
        return {}
    try:
        values: dict[str, Any] = any_object(parse(body, MAX_BODY_BYTES))
    except Unsound as fault:
        raise UsageError(f"the call's body: {fault}") from None
    return values


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise UsageError(f"{name} = {text[:40]!r} in the function's environment: wanted true or false")
    return text == "true"


def _event(name: str, error: Exception) -> dict[str, Any]:
    return {"event": name, "kind": type(error).__name__, "message": " ".join(str(error).split())}


def _as_response(status: int, values: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(values), "headers": {"Content-Type": "application/json"}}
