"""The gateway's HTTP: calls of functions, signed, and the few of its own routes that we need."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import urllib3

from nnlite.errors import NnliteError, RunError, words
from nnlite.invoker.messages import OF_FUNCTION, heard
from nnlite.invoker.openfaas import signing
from nnlite.invoker.openfaas.credentials import basic
from nnlite.invoker.openfaas.deployed import DeployedWorker, Listing, split_name
from nnlite.invoker.openfaas.proxies import Proxy, proxy_for
from nnlite.records import Unsound

CONNECT_S = 5.0
ASK_S = 20.0  # an answer of the gateway itself, or of a function that only looks something up
LOG_LINES, LOG_S = 100, 600.0  # of a log, back from now
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
        self._login = {"Authorization": basic(user, password)} if user else {}
        self._proxy = proxy_for(url)
        self._pool = _pool(self._proxy)

    def call(self, function: str, body: bytes, timeout_s: float) -> Answer:
        """Call a function and wait for its answer. Raises Unreachable, TimedOut."""
        return self._post(f"/function/{function}", body, timeout_s)

    def queue(self, function: str, body: bytes) -> Answer:
        """Have a function called later; 202 when it is queued. Raises Unreachable, TimedOut."""
        return self._post(f"/async-function/{function}", body, ASK_S)

    def functions(self, namespace: str = "") -> dict[str, DeployedWorker]:
        """What is deployed in a namespace, by the name that calls it. Raises RunError: not reachable, wrong password,
        not a gateway."""
        answer = self._system("GET", "/system/functions", namespace)
        try:
            found = [DeployedWorker.of(entry) for entry in Listing.of(answer.text).functions]
        except Unsound as fault:
            said = f"{fault} ({answer.text[:80]!r})"
            raise RunError(f"{self.url} does not answer as an OpenFaaS gateway: {said}") from None
        return {f"{one.name}.{namespace}" if namespace else one.name: one for one in found}

    def function(self, name: str) -> DeployedWorker | None:
        """The function that calls of `name` reach, if it is deployed. Raises RunError."""
        return self.functions(split_name(name)[1]).get(name)

    def scale(self, function: str, replicas: int) -> None:
        """Ask for so many replicas. Raises RunError."""
        name, namespace = split_name(function)
        body = json.dumps({"serviceName": name, "replicas": replicas}).encode()
        self._system("POST", f"/system/scale-function/{name}", namespace, body)

    def log(self, function: str) -> str:
        """What a function has logged last, a JSON object a line; "" where the gateway does not tell."""
        name, namespace = split_name(function)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock() - LOG_S))
        query = f"name={name}&tail={LOG_LINES}&follow=false&since={since}"
        query += f"&namespace={namespace}" if namespace else ""
        try:
            answer = self._request("GET", f"/system/logs?{query}", self._login, None, ASK_S)
        except (Unreachable, TimedOut):
            return ""
        return answer.text if answer.status == 200 else ""

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def _post(self, path: str, body: bytes, timeout_s: float) -> Answer:
        headers = {"Content-Type": "application/json", **signing.sign(self._secret, body, self._clock())}
        answer = self._request("POST", path, headers, body, timeout_s)
        event = heard(OF_FUNCTION, answer.text)
        if event is not None and event["event"] == "malformed":
            return Answer(answer.status, f"{event['reason']}: {answer.text}")
        return Answer(answer.status, answer.text, event)

    def _system(self, method: str, path: str, namespace: str, body: bytes | None = None) -> Answer:
        query = f"?namespace={namespace}" if namespace else ""
        try:
            answer = self._request(method, path + query, self._login, body, ASK_S)
        except (Unreachable, TimedOut) as error:
            hint = "is it up, and OPENFAAS_URL right? `kubectl port-forward -n openfaas svc/gateway 8080`"
            raise RunError(f"{error}: {hint}") from None
        if answer.status >= 300:
            says = f"gateway {self.url} answers {method} {path} with {answer.status}: {words(answer.text)[:120]}"
            login = f"; set OPENFAAS_PASSWORD, or `faas-cli login --gateway {self.url}`"
            raise RunError(says + (login if answer.status == UNAUTHORIZED else ""))
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
            cause = words(str(error).rpartition(": ")[2].strip("')"))
            way = f" through the proxy {self._proxy}" if self._proxy else ""
            raise Unreachable(f"gateway {self.url} is not reachable{way} ({cause})") from None
        text = response.data.decode(errors="replace").strip()
        return Answer(response.status, text)


def _pool(proxy: Proxy | None) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": 128, "retries": False}
    if proxy is None:
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **options)
