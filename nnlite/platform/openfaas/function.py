"""Inside a function: its settings, and how whatever it does becomes an answer. Handlers only parse and call this."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nnlite.errors import NnliteError, RunError, StoreUnavailable, UsageError
from nnlite.platform.openfaas import signing
from nnlite.platform.openfaas.gateway import Gateway
from nnlite.platform.openfaas.platform import OpenFaaSPlatform

SECRETS = "/var/openfaas/secrets"
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

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read the environment, once. Raises UsageError for what cannot be meant."""
        texts = ("gateway_url", "train_function", "invocation", "secret_name")
        given: dict[str, Any] = {name: environ[name] for name in texts if environ.get(name)}
        given["secrets"] = environ.get("secret_mount_path") or SECRETS
        if environ.get("exec_timeout"):
            given["exec_timeout_s"] = duration_s(environ["exec_timeout"])
        return cls(**given)

    def secret(self) -> bytes:
        """The secret of this function. Raises RunError when it has none."""
        path = Path(self.secrets) / self.secret_name
        try:
            return signing.checked_secret(path.read_bytes(), str(path))
        except OSError:
            raise RunError(
                f"the function has no secret {self.secret_name!r} ({path}): `faas-cli secret create "
                f"{self.secret_name} --from-file FILE`, name it under `secrets` in stack.yaml, and deploy again"
            ) from None

    def platform(self, run: str, store_url: str) -> OpenFaaSPlatform:
        """How this function starts other invocations of a run."""
        gateway = Gateway(self.gateway_url, secret=self.secret())
        timeout_s = self.exec_timeout_s + 15.0
        return OpenFaaSPlatform(gateway, run, store_url, self.train_function, self.invocation, timeout_s=timeout_s)

    def remaining_s(self) -> Callable[[], float]:
        """A clock that says how long this invocation may go on; it starts now."""
        ends_s = time.monotonic() + self.exec_timeout_s
        return lambda: ends_s - time.monotonic()


def duration_s(text: str) -> float:
    """Seconds of a duration as Go writes them: 90s, 5m, 1h30m. Raises UsageError for anything else."""
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text):
        raise UsageError(f"duration {text!r}: wanted one like 90s, 5m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|m|s)", text))


def answer(call: Call, work: Callable[[Settings, Any], dict[str, Any]], signed: bool = True) -> dict[str, Any]:
    """Do `work(settings, decoded body)` for a call, and say what came of it in the template's terms.

    signed: refuse with 401 what is not signed. The body of the answer always has an "event"; an "error" is one that
    a second call would only meet again, "unavailable" one that it need not.
    """
    try:
        settings = Settings.of(os.environ)
        if signed:
            signing.check(settings.secret(), call.body, call.headers, time.time())
        return _as_response(200, work(settings, _decoded(call.body)))
    except signing.Refused as error:
        return _as_response(401, _event("error", error))
    except UsageError as error:
        return _as_response(400, _event("error", error))
    except StoreUnavailable as error:
        return _as_response(503, _event("unavailable", error))
    except NnliteError as error:
        return _as_response(500, _event("error", error))
    except Exception as error:  # the template would answer with a page of HTML
        unexpected = RunError(f"the function failed: {type(error).__name__}: {error} (unexpected)")
        return _as_response(500, _event("error", unexpected))


def is_signed(call: Call, settings: Settings) -> bool:
    """Whether a call that need not be signed is. Raises Refused when it claims to be and is not."""
    if signing.SIGNATURE not in call.headers:
        return False
    signing.check(settings.secret(), call.body, call.headers, time.time())
    return True


def _decoded(body: bytes) -> Any:
    """The JSON of a body; nothing but blanks is {}."""
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except ValueError as error:
        raise UsageError(f"the call's body is no JSON: {error}") from None


def _event(name: str, error: Exception) -> dict[str, Any]:
    return {"event": name, "kind": type(error).__name__, "message": " ".join(str(error).split())}


def _as_response(status: int, values: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(values), "headers": {"Content-Type": "application/json"}}
