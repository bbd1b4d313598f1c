"""Retrying: what is repeated, what is not, and that nothing is done twice."""

import itertools
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nnlite.errors import Conflict, NotFound, PartlyUnavailable, StoreError, StoreUnavailable, UsageError
from nnlite.store import ABSENT, Store, Versioned, open_store
from nnlite.store.base import each
from nnlite.store.faults import Faulty
from nnlite.store.memcached import MemcachedStore
from nnlite.store.memory import MemoryStore
from nnlite.store.retry import Retrying
from nnlite.store.s3 import S3Store
from nnlite.store.wrapper import Wrapper
from tests.servers import BUCKET, Memcached

from .contract import OpenAgain, StoreContract, in_threads


class TestRetrying(StoreContract):
    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name = uuid.uuid4().hex
        return lambda: Retrying(MemoryStore(name))


class TestRetryingThroughLostRequests(StoreContract):
    """Every third request is lost, and nobody notices."""

    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name, rng = uuid.uuid4().hex, random.Random(1)

        def faulty() -> Store:
            store = Faulty(MemoryStore(name), random.Random(rng.random()), lost_request_rate=0.3)
            return Retrying(store, attempts=60, sleep=lambda _: None)

        return faulty


class Scripted(Wrapper):
    """Loses the requests, or the replies, of a plan: one of "request", "reply", "" for each request."""

    def __init__(self, inner: Store, *plan: str) -> None:
        super().__init__(inner)
        self.plan, self.num_requests = list(plan), 0
        self.meanwhile: Callable[[], object] = lambda: None

    def _do(self, request: Callable[[], Any]) -> Any:
        self.num_requests += 1
        fault = self.plan.pop(0) if self.plan else ""
        if fault == "error":
            raise StoreError("access denied")
        answer = request() if fault != "request" else None
        if fault:
            self.meanwhile()
            raise StoreUnavailable(f"lost {fault} of request {self.num_requests}")
        return answer

    def get(self, key: str) -> Any:
        return self._do(lambda: self.inner.get(key))

    def get_many(self, keys: Any) -> Any:
        return self._do(lambda: self.inner.get_many(keys))

    def put(self, key: str, data: Any, *, if_version: Any = None) -> None:
        self._do(lambda: self.inner.put(key, data, if_version=if_version))

    def delete(self, key: str) -> None:
        self._do(lambda: self.inner.delete(key))


def scripted(*plan: str, **options: Any) -> tuple[Retrying, Scripted, MemoryStore]:
    truth = MemoryStore()
    flaky = Scripted(truth, *plan)
    return Retrying(flaky, sleep=lambda _: None, **options), flaky, truth


@pytest.mark.parametrize("fault", ["request", "reply"])
def test_every_verb_is_repeated(fault: str) -> None:
    store, flaky, truth = scripted()
    truth.put("a", b"one")

    def faults() -> None:
        flaky.plan[:] = [fault, fault]

    faults()
    assert store.get("a").data == b"one"
    faults()
    assert [value and value.data for value in store.get_many(key for key in "ab")] == [b"one", None]
    faults()
    store.put("a", b"two")
    assert truth.get("a").data == b"two"
    faults()
    store.put("b", b"new", if_version=ABSENT)
    assert truth.get("b").data == b"new"
    faults()
    store.put("b", b"swapped", if_version=truth.get("b").version)
    assert truth.get("b").data == b"swapped"
    faults()
    store.delete("b")
    assert truth.get_many(["b"]) == [None]


def test_parts_that_can_be_read_once_are_written_whole_each_time() -> None:
    store, _, truth = scripted("request", "reply")
    store.put("a", (b"header", memoryview(b"+data")), if_version=ABSENT)
    assert truth.get("a").data == b"header+data"


def test_what_is_not_transient_is_not_repeated() -> None:
    store, flaky, _ = scripted("error", "error")
    with pytest.raises(StoreError, match="access denied"):
        store.get("a")
    with pytest.raises(StoreError, match="access denied"):
        store.put("a", b"")
    with pytest.raises(NotFound):
        store.get("a")
    assert flaky.num_requests == 3


def test_a_conflict_at_the_first_attempt_is_one() -> None:
    """Also when the same bytes stand there: nothing of ours was lost."""
    store, flaky, truth = scripted()
    truth.put("a", b"same")
    with pytest.raises(Conflict):
        store.put("a", b"same", if_version=ABSENT)
    assert flaky.num_requests == 1


@pytest.mark.parametrize("fault", ["request", "reply"])
def test_after_a_fault_the_other_ones_value_is_a_conflict(fault: str) -> None:
    store, flaky, truth = scripted(fault)
    truth.put("swapped", b"0")
    old = truth.get("swapped").version
    flaky.meanwhile = lambda: truth.put("swapped", b"theirs 1")
    with pytest.raises(Conflict):
        store.put("swapped", b"ours 1", if_version=old)
    assert truth.get("swapped").data == b"theirs 1"

    store, flaky, truth = scripted(fault)
    flaky.meanwhile = lambda: truth.put("created", b"theirs")
    with pytest.raises(Conflict):
        store.put("created", b"ours", if_version=ABSENT)
    assert truth.get("created").data == b"theirs"


def test_reading_back_is_repeated_too() -> None:
    """The reply of the create is lost, then the request that looks for it."""
    store, _, truth = scripted("reply", "", "request", "", "request")
    store.put("a", b"one", if_version=ABSENT)
    assert truth.get("a").data == b"one"


def test_giving_up_says_how_often_it_was_asked() -> None:
    store, flaky, _ = scripted(*["request"] * 9, attempts=4)
    with pytest.raises(StoreUnavailable, match=r"lost request of request 4 \(gave up after 4 attempts\)"):
        store.get("a")
    assert flaky.num_requests == 4
    with pytest.raises(UsageError):
        Retrying(MemoryStore(), attempts=0)


def test_waits_double_up_to_the_cap_and_are_drawn_evenly() -> None:
    class Drawn:
        def random(self) -> float:
            return 0.5

    waits: list[float] = []
    flaky = Scripted(MemoryStore(), *["request"] * 6)
    store = Retrying(flaky, attempts=7, base_s=0.1, cap_s=1.0, rng=Drawn(), sleep=waits.append)
    assert store.get_many([]) == []
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])


def test_two_handles_do_not_wait_alike() -> None:
    def waits() -> list[float]:
        found: list[float] = []
        Retrying(Scripted(MemoryStore(), *["request"] * 5), sleep=found.append).get_many([])
        return found

    assert waits() != waits()


# Many keys


class Flaky(Wrapper):
    """Loses a request for a key now and then; counts how often each key was asked for, and was answered."""

    def __init__(self, inner: Store, lost_rate: float, seed: int = 0) -> None:
        super().__init__(inner)
        self._rng, self._lost_rate = random.Random(seed), lost_rate
        self.asked, self.answered = Counter[str](), Counter[str]()

    def _ask(self, key: str, request: Callable[[str], Any]) -> Any:
        self.asked[key] += 1
        if self._rng.random() < self._lost_rate:
            raise StoreUnavailable(f"lost the packet for {key}")
        self.answered[key] += 1
        return request(key)

    def get_many(self, keys: Any) -> Any:
        keys = list(keys)
        values = each(keys, lambda key: self._ask(key, lambda key: self.inner.get_many([key])[0]))
        return [values[key] for key in keys]

    def delete_many(self, keys: Any) -> None:
        each(keys, lambda key: self._ask(key, self.inner.delete))

    def missing(self, keys: Any) -> list[str]:
        return [
            key
            for key, gone in each(keys, lambda key: self._ask(key, lambda k: self.inner.missing([k]))).items()
            if gone
        ]


class Lossy(MemoryStore):
    """Every third `get` is lost; all else is as the base class makes it of that."""

    num_gets = 0

    def get(self, key: str) -> Versioned:
        self.num_gets += 1
        if self.num_gets % 3 == 0:
            raise StoreUnavailable("lost")
        return super().get(key)


def test_what_is_missing_is_told_right_when_some_answers_are_lost() -> None:
    """A key that was looked for before the answer to another was lost was taken for its contrary."""
    lossy = Lossy()
    for key in ("a", "c", "e", "g"):
        lossy.put(key, b"x")
    assert Retrying(lossy, sleep=lambda _: None).missing("abcdefgh") == ["b", "d", "f", "h"]


KEYS = [f"k{number:04}" for number in range(1000)]


@pytest.mark.parametrize("lost_rate", [0.03, 0.3])
def test_of_many_keys_only_those_without_an_answer_are_asked_for_again(lost_rate: float) -> None:
    """At 3 % a batch of 1,000 would hardly ever come through whole: 0.97 ** 1000 is 6e-14."""
    truth = MemoryStore()
    for key in KEYS[::2]:
        truth.put(key, key.encode())
    flaky = Flaky(truth, lost_rate)
    store = Retrying(flaky, sleep=lambda _: None)
    for number, ask in enumerate((store.get_many, store.missing, store.delete_many), 1):
        found = ask(KEYS)
        if ask == store.get_many:
            assert [value and value.data.decode() for value in found] == [
                k if not i % 2 else None for i, k in enumerate(KEYS)
            ]
        if ask == store.missing:
            assert found == KEYS[1::2]
        assert set(flaky.answered.values()) == {number}  # each once
        assert len(flaky.answered) == len(KEYS)
    assert truth.missing(KEYS) == KEYS
    assert flaky.asked.total() < 3 * len(KEYS) / (1 - lost_rate) * 1.2


def test_many_keys_are_given_up_when_none_is_answered_any_more() -> None:
    truth = MemoryStore()
    flaky = Flaky(truth, 1.0)
    with pytest.raises(StoreUnavailable, match=r"lost the packet for k0000 \(gave up after 4 attempts\)"):
        Retrying(flaky, attempts=4, sleep=lambda _: None).get_many(KEYS)
    assert flaky.asked.total() == 4


def test_waits_stay_bounded_however_often_it_is_asked() -> None:
    waits: list[float] = []
    with pytest.raises(StoreUnavailable, match="gave up after 1200 attempts"):
        Retrying(Flaky(MemoryStore(), 1.0), attempts=1200, cap_s=3.0, sleep=waits.append).get_many(["a"])
    assert max(waits) <= 3.0


def test_many_keys_of_memcached_while_chunks_cannot_be_read(
    memcached: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value is read once, although every third read of chunks breaks."""
    store = MemcachedStore.from_url(f"memcached://{memcached.address}/{uuid.uuid4().hex[:8]}?chunk_bytes=1000")
    values = {f"k{number}": bytes([number]) * 20_000 for number in range(30)}
    for key, value in values.items():
        store.put(key, value)
    real, numbers, read = store._read_chunks, itertools.count(1), Counter[str]()

    def breaking(manifest: Any) -> Any:
        if next(numbers) % 3 == 0:
            raise StoreUnavailable("the connection broke")
        read[manifest.version] += 1
        return real(manifest)

    monkeypatch.setattr(store, "_read_chunks", breaking)
    found = Retrying(store, attempts=2, sleep=lambda _: None).get_many(values)
    assert {key: value.data for key, value in zip(values, found, strict=True) if value} == values
    assert set(read.values()) == {1}


# Under faults


def add_marks(store: Store, worker: int, num_marks: int) -> None:
    """Append `worker:number` to the list in `ledger`, each once, as a protocol does: by looking what is there."""
    for number in range(num_marks):
        mark = f"{worker}:{number}"
        while True:
            found = store.get("ledger")
            marks = json.loads(found.data)
            if mark in marks:  # done by a write whose reply was lost
                break
            try:
                store.put("ledger", json.dumps([*marks, mark]).encode(), if_version=found.version)
                break
            except Conflict:
                continue


@pytest.mark.parametrize("kind", ["memory", "memcached", "memcached in chunks", "s3"])
@pytest.mark.parametrize("seed", range(3))
def test_lost_replies_apply_nothing_twice(kind: str, seed: int, request: pytest.FixtureRequest) -> None:
    """Of requests 10 % are lost, of replies 20 %: each mark is there once, each creator knows whether it won."""
    name = uuid.uuid4().hex[:8]

    def opened() -> Store:
        if kind == "memory":
            return MemoryStore(name)
        if kind == "s3":
            return S3Store.from_url(f"s3://{BUCKET}/{name}?endpoint={request.getfixturevalue('s3')}")
        server: Memcached = request.getfixturevalue("memcached")
        return MemcachedStore.from_url(f"memcached://{server.address}/{name}{'?chunk_bytes=64' * ('chunks' in kind)}")

    truth, num_workers, num_marks = opened(), 4, 4 if kind == "s3" else 10
    truth.put("ledger", b"[]")

    def work(worker: int) -> list[int]:
        rng = random.Random(1000 * seed + worker)
        faulty = Faulty(truth, rng, lost_request_rate=0.1, lost_reply_rate=0.2)
        store = Retrying(faulty, attempts=50, base_s=0.001, cap_s=0.002, rng=rng)
        add_marks(store, worker, num_marks)
        won = []
        for number in range(num_marks):
            try:
                store.put(f"created/{number}", b"%d" % worker * 300, if_version=ABSENT)
                won.append(number)
            except Conflict:
                pass
        return won

    won = in_threads(work, num_workers)
    marks = json.loads(truth.get("ledger").data)
    assert sorted(marks) == sorted(f"{w}:{n}" for w in range(num_workers) for n in range(num_marks)), f"seed {seed}"
    assert sorted(number for numbers in won for number in numbers) == list(range(num_marks)), f"seed {seed}"
    for worker, numbers in enumerate(won):
        for number in numbers:
            assert truth.get(f"created/{number}").data == b"%d" % worker * 300
    truth.close()


# Opening


def test_stores_behind_a_network_are_opened_behind_retries() -> None:
    for url in ("memcached://127.0.0.1:1/r", "s3://bucket/r"):
        store = open_store(url)
        assert type(store) is Retrying
        assert open_store(store.url).url == store.url
    assert type(open_store("memory://")) is MemoryStore


def test_progress_once_is_no_reason_to_ask_for_ever() -> None:
    """Each answer gives the rest new attempts; what then gets none is given up after as many."""
    store, flaky, _ = scripted(attempts=3)
    asked: list[list[str]] = []

    def get_many(keys: list[str]) -> list[Versioned | None]:
        asked.append(list(keys))
        assert len(asked) < 20, "it asks for ever"
        if len(asked) == 2:
            raise PartlyUnavailable("one answered", {"a": None})
        raise StoreUnavailable("nobody answered")

    flaky.get_many = get_many  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="gave up after 3 attempts"):
        store.get_many(["a", "b"])
    assert asked == [["a", "b"], ["a", "b"], ["b"], ["b"]]


def test_the_failure_of_the_first_of_many_is_that_failure_itself() -> None:
    down = StoreUnavailable("down")

    def fails(key: str) -> str:
        raise down

    with pytest.raises(StoreUnavailable) as caught:
        each(["a", "b"], fails)
    assert caught.value is down
