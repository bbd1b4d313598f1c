"""A platform of somebody's own in one file: threads of this process. It passes the contract, and commands know it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import pytest

from nnlite.choices import choice
from nnlite.commands import door
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue
from nnlite.estimating.probe import VenueAt
from nnlite.invoker.base import Invocation, Invoker
from nnlite.platform import PLATFORMS
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.spec import Rates, RunSpec
from nnlite.runs.job import Job
from nnlite.runtime.invocation import Payload, carry_out
from nnlite.store import Store
from tests.platform.contract import Ground, PlatformContract


class _Killed(BaseException):
    """The end of a thread by force."""


class ThreadInvoker(Invoker):
    """Each invocation is a thread; it dies when it is told to, the next time that it looks at its clock."""

    def __init__(self, spec: RunSpec, store_url: str) -> None:
        super().__init__()
        self.spec, self.store_url = spec, store_url
        self.threads: list[threading.Thread] = []
        self.doomed: set[Invocation] = set()
        self._dead: list[Invocation] = []

    def invoke(self, worker: int, attempt: int) -> None:
        thread = threading.Thread(target=self._work, args=(worker, attempt), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _work(self, worker: int, attempt: int) -> None:
        def remaining_s() -> float:
            if (worker, attempt) in self.doomed:
                raise _Killed
            return float("inf")

        payload = Payload(self.spec.run, self.store_url, worker, attempt, self.spec.sha256)
        try:
            carry_out(payload, self.invoke, remaining_s)
        except _Killed:
            self._dead.append((worker, attempt))

    def casualties(self) -> list[Invocation]:
        dead, self._dead = self._dead, []
        return dead

    def close(self) -> None:
        for thread in self.threads:
            thread.join(timeout=60)


@dataclass(frozen=True)
class Threads(Platform):
    """Threads of this process."""

    nap_s: int = choice(0, "seconds of rest before a run begins", "S")

    name: ClassVar[str] = "threads"
    title: ClassVar[str] = "on threads (--platform threads)"
    is_here: ClassVar[bool] = True
    probes_cost: ClassVar[bool] = True
    probes_where: ClassVar[str] = "threads of this process"

    def check(self, job: Job, pricing: Pricing) -> None:
        super().check(job, pricing)
        if self.nap_s < 0:
            raise UsageError(f"nap_s {self.nap_s}: wanted 0 or more", parameter="nap_s")

    def adapt(self, spec: RunSpec, store_url: str, pricing: Pricing) -> RunSpec:
        tariff = self.tariff(store_url, pricing)
        return replace(spec, rates=Rates(self.name, pricing.memory_mb or 0), tariff=asdict(tariff))

    def describe(self, spec: RunSpec, store_url: str) -> dict[str, str]:
        return {"where": f"{spec.num_workers} threads"}

    def venue(self, spec: RunSpec, store_url: str) -> Venue:
        return Venue(self.name, spec.num_workers, self.open)

    @contextmanager
    def probing(self, spec: RunSpec, store_url: str, sizes: tuple[int, int]) -> Iterator[VenueAt]:
        yield lambda memory_mb, num_workers: self.venue(replace(spec, num_workers=num_workers), store_url)

    def open(self, spec: RunSpec, store: Store) -> ThreadInvoker:
        return ThreadInvoker(spec, store.url)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLATFORMS, Threads.name, f"{__name__}:Threads")


class TestThreads(PlatformContract):
    @pytest.fixture
    def ground(self, tmp_path):
        return Ground(
            Threads(),
            str(tmp_path / "store"),
            kill=lambda invoker: invoker.doomed.add((0, 1)),
            held=lambda invoker: any(thread.is_alive() for thread in invoker.threads),
        )


C = ("train", "--case", "c", "--dataset", "fashion-sample", "--rounds", "1", "--steps-per-round", "2")


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code = door.enter(C[0], [*C[1:], *argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_commands_know_it_without_another_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = said(capsys, "--platform", "threads", "--workers", "2", "--nap-s", "1", "--out", "w.st")
    assert code == 0, err
    assert "where      2 threads" in err
    assert (tmp_path / "w.st").exists()
    code, _, err = said(capsys, "--nap-s", "1")
    assert (code, "--nap-s is for --platform threads, and this is local: leave it out" in err) == (2, True)
    code, _, err = said(capsys, "--platform", "threads", "--nap-s", "-1")
    assert (code, err) == (2, "error: --nap-s -1: wanted 0 or more\n")
    code, _, err = said(capsys, "--platform", "threads", "--detach")
    assert (code, "--detach is for --platform lambda" in err) == (2, True)
