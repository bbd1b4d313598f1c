"""A function: invoked, limited, and asked how it stands."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from nnlite.errors import RunError
from nnlite.invoker.aws.account import CloudAccount, explaining
from nnlite.invoker.aws.limits import UNRESERVED

RESIZE_POLL_S, RESIZE_POLLS = 0.5, 240


@dataclass(frozen=True)
class Configuration:
    """What a function has been given."""

    memory_mb: int
    timeout_s: int
    architecture: str
    reserved: int | None  #: concurrency that is kept for it; 0: it is cut off
    code: str = ""  #: a hash of it


class Function:
    """One function, by its name."""

    def __init__(self, name: str, account: CloudAccount | None = None) -> None:
        self.name, self.account = name, account or CloudAccount()

    def invoke(self, payload: bytes) -> None:
        """Have it run, some time, at least once; returns as soon as Lambda has taken the event."""
        with self._explaining("invoke"):
            self._client.invoke(FunctionName=self.name, InvocationType="Event", Payload=payload)

    def configuration(self) -> Configuration:
        """How it is deployed. Raises RunError when it is not there."""
        with self._explaining("look at"):
            found = self._client.get_function_configuration(FunctionName=self.name)
            reserved = self._client.get_function_concurrency(FunctionName=self.name)
        architecture = (found.get("Architectures") or ["x86_64"])[0]
        limit = reserved.get("ReservedConcurrentExecutions")
        return Configuration(found["MemorySize"], found["Timeout"], architecture, limit, found.get("CodeSha256", ""))

    def available_concurrency(self) -> int:
        """How many invocations can run at a time, at best: its reservation, or what the account has for all."""
        reserved = self.configuration().reserved
        if reserved is not None:
            return reserved
        with explaining("lambda", "read the account's limits"):
            limits = self._client.get_account_settings()["AccountLimit"]
        return int(limits.get("UnreservedConcurrentExecutions", limits["ConcurrentExecutions"]))

    def resize(self, memory_mb: int) -> None:
        """Give it so much memory, and wait until new invocations have it. Those that run keep what they have."""
        found = self._settled()
        if found["MemorySize"] != memory_mb:
            with self._explaining("change the memory of"):
                self._client.update_function_configuration(FunctionName=self.name, MemorySize=memory_mb)
            found = self._settled()
            if found.get("LastUpdateStatus") != "Failed" and found["MemorySize"] == memory_mb:
                return
            raise RunError(f"the function {self.name} has no {memory_mb} MB: {found.get('LastUpdateStatusReason')}")

    def _settled(self) -> dict[str, Any]:
        """How it is deployed, once no change of it is under way: until then AWS refuses another one."""
        for _ in range(RESIZE_POLLS):
            found = self._look()
            if found.get("LastUpdateStatus") != "InProgress":
                return found
            time.sleep(RESIZE_POLL_S)
        raise RunError(f"the function {self.name} is being changed for too long: look at it in Lambda's console")

    def _look(self) -> dict[str, Any]:
        with self._explaining("look at"):
            found: dict[str, Any] = self._client.get_function_configuration(FunctionName=self.name)
        return found

    def cut_off(self) -> None:
        """Let no invocation of it start any more, by any caller."""
        with self._explaining("cut off"):
            self._client.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=0)

    def release(self, reserved: int | None) -> None:
        """Undo `cut_off`: go back to what was reserved for it."""
        with self._explaining("release"):
            if reserved is None:
                self._client.delete_function_concurrency(FunctionName=self.name)
            else:
                self._client.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=reserved)

    @property
    def _client(self) -> Any:
        return self.account.client("lambda")

    def _explaining(self, verb: str) -> AbstractContextManager[None]:
        return explaining("lambda", f"{verb} the function {self.name}")


def check_concurrency(function: Function, num_workers: int) -> None:
    """Raise RunError when so many workers could not run at the same time."""
    available = function.available_concurrency()
    if available == 0:
        raise RunError(
            f"the function {function.name} is cut off (reserved concurrency 0): python -m tools.stop --release"
        )
    if num_workers > available:
        raise RunError(
            f"workers {num_workers}, but only {available} invocations of {function.name} can run at a time: use at "
            f"most {available}, deploy with more --reserved-concurrency, or ask AWS for more (Service Quotas: "
            f"'Concurrent executions'; of an account's, {UNRESERVED} cannot be reserved)",
            parameter="workers",
        )
