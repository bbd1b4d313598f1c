"""The gateway's HTTP: calls of functions, signed, and the few of its own routes that we need."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import urllib3

from nnlite.errors import NnliteError, RunError
from nnlite.platform.openfaas import signing

CONNECT_S = 5.0
ASK_S = 20.0  # an answer of the gateway itself, or of a function that only looks something up
UNAUTHORIZED, NOT_FOUND = 401, 404


class Unreachable(NnliteError, ConnectionError):
    """No connection, or it broke: whether the call arrived is not known."""


class TimedOut(NnliteError, TimeoutError):
    """No answer in time: the call may still be at work."""


@dataclass(frozen=True)
class Answer:
    """What came back from a call. `event`: of our function, or None when somebody on the way answered for it."""

    status: int
    text: str
    event: dict[str, Any] | None = None


class Gateway:
    """An OpenFaaS gateway at `url`; threads may share it. clock: seconds since 1970, for signatures."""

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str = "",
        secret: bytes = b"",
        clock: Callable[[], float] = time.time,
    ):
        self.url, self._secret, self._clock = url, secret, clock
        self._login = urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}
        self._pool = urllib3.PoolManager(maxsize=128, retries=False)

    def call(self, function: str, body: bytes, timeout_s: float) -> Answer:
        """Call a function and wait for its answer. Raises Unreachable, TimedOut."""
        return self._post(f"/function/{function}", body, timeout_s)

    def queue(self, function: str, body: bytes) -> Answer:
        """Have a function called later; 202 when it is queued. Raises Unreachable, TimedOut."""
        return self._post(f"/async-function/{function}", body, ASK_S)

    def functions(self) -> dict[str, dict[str, Any]]:
        """What is deployed, by name. Raises RunError: not reachable, wrong password, not a gateway."""
        answer = self._system("GET", "/system/functions")
        try:
            return {found["name"]: found for found in json.loads(answer.text)}
        except (ValueError, TypeError, KeyError):
            raise RunError(f"{self.url} does not answer as an OpenFaaS gateway: {answer.text[:80]!r}") from None

    def scale(self, function: str, replicas: int) -> None:
        """Ask for so many replicas. Raises RunError."""
        body = json.dumps({"serviceName": function, "replicas": replicas}).encode()
        self._system("POST", f"/system/scale-function/{function}", body)

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def _post(self, path: str, body: bytes, timeout_s: float) -> Answer:
        headers = {"Content-Type": "application/json", **signing.sign(self._secret, body, self._clock())}
        return self._request("POST", path, headers, body, timeout_s)

    def _system(self, method: str, path: str, body: bytes | None = None) -> Answer:
        try:
            answer = self._request(method, path, self._login, body, ASK_S)
        except (Unreachable, TimedOut) as error:
            hint = "is it up, and OPENFAAS_URL right? `kubectl port-forward -n openfaas svc/gateway 8080`"
            raise RunError(f"{error}: {hint}") from None
        if answer.status == UNAUTHORIZED:
            raise RunError(
                f"gateway {self.url} refuses our password: set OPENFAAS_PASSWORD, "
                f"or `faas-cli login --gateway {self.url}`"
            )
        if answer.status >= 300:
            raise RunError(f"gateway {self.url} answers {method} {path} with {answer.status}: {answer.text[:120]}")
        return answer

    def _request(self, method: str, path: str, headers: Any, body: bytes | None, timeout_s: float) -> Answer:
        timeout = urllib3.Timeout(connect=CONNECT_S, read=timeout_s)
        try:
            response = self._pool.request(
                method, self.url + path, body=body, headers=headers, timeout=timeout, redirect=False
            )
        except urllib3.exceptions.ReadTimeoutError:
            raise TimedOut(f"gateway {self.url} gave no answer in {timeout_s:.0f} s") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = str(error).rpartition(": ")[2].strip("')")
            raise Unreachable(f"gateway {self.url} is not reachable ({cause})") from None
        text = response.data.decode(errors="replace").strip()
        return Answer(response.status, text, _event(text))


def _event(text: str) -> dict[str, Any] | None:
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) and isinstance(values.get("event"), str) else None
