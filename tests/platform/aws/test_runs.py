"""Whole runs on the test platform, with everything going wrong that may: the same bytes as at home, always."""

import contextlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nnlite.cost import prices
from nnlite.errors import RunError
from nnlite.invoker.aws.account import CloudAccount
from nnlite.invoker.aws.function import Function, check_concurrency
from nnlite.invoker.aws.lambda_invoker import LambdaInvoker
from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import Rates, RunSpec
from nnlite.runs import lifecycle
from nnlite.runtime.invocation import Payload
from nnlite.store import Store, open_store
from nnlite.store.file import FileStore
from tests.platform.aws.account import ACCOUNT, REGION
from tests.platform.aws.cli import call
from tests.platform.aws.functions import Faults
from tests.runtime import small

STORE = f"s3://nnlite-{ACCOUNT}-{REGION}/nnlite?region={REGION}"
ROWS = small.dataset()
NAME = "nnlite-worker"


def spec(run: str, workers: int = 3, rounds: int = 4, **more) -> RunSpec:
    """A run that repairs itself fast."""
    paces = {"lease_ttl_s": 2.0, "straggler_timeout_s": 1.5, "beat_s": 0.5, "look_s": 0.2, "hand_over_s": 1.0}
    return replace(small.spec(ROWS, workers, rounds), run=run, **(paces | more))


def platform(of: RunSpec, account, url: str = STORE) -> LambdaInvoker:
    queue = account.client("sqs").get_queue_url(QueueName="nnlite-lost")["QueueUrl"]
    payload = lambda worker, attempt: Payload(of.run, url, worker, attempt, of.sha256).to_json()  # noqa: E731
    return LambdaInvoker(of.run, Function(NAME, CloudAccount()), payload, queue, queue_every_s=0.5)


def drive(of: RunSpec, account, url: str = STORE):
    """Begin and drive a run on the functions. -> the last head, and its store"""
    store = open_store(url)
    lifecycle.begin(store, store, of, ROWS)
    driver = lifecycle.Driver(store, of, platform(of, account, url))
    return driver.drive(dict.fromkeys(range(of.num_workers), 1)), store


def final(store: Store, of: RunSpec, last: Head) -> bytes:
    """The weights and slots of the last checkpoint; its header names the run, and so is never that of another."""
    small.final(store, of, last)
    return small.vector(store, of, last.result).tobytes()


@pytest.fixture(scope="module")
def at_home(tmp_path_factory):
    """The weights and slots that the same specification ends with on the local platform."""
    store, of = FileStore(tmp_path_factory.mktemp("home")), spec("home")
    lifecycle.begin(store, store, of, ROWS)
    last = lifecycle.Driver(store, of, LocalInvoker(of.run, store.url, 2)).drive(dict.fromkeys(range(3), 1))
    return final(store, of, last)


def test_without_faults(stack, at_home):
    last, store = drive(spec("calm"), stack)
    assert final(store, spec("calm"), last) == at_home
    stack.functions.idle()
    events = [json.loads(line) for line in stack.functions.log(NAME).splitlines() if line.startswith("{")]
    ended = [e for e in events if e["event"] == "invocation" and e["run"] == "calm"]
    assert len(ended) >= 3
    for event in ended:
        (described,) = event["_aws"]["CloudWatchMetrics"]
        assert {m["Name"] for m in described["Metrics"]} <= event.keys() >= set(described["Dimensions"][0])
        assert event["seconds"] > 0


@pytest.mark.parametrize("seed", [1])
def test_doubled_dropped_throttled_and_killed(stack, at_home, seed):
    """Events twice or never, calls refused with 429, functions killed by memory and by deadline."""
    of = spec(f"faults-{seed}", max_attempts=50)
    stack.functions.faults = Faults(
        random.Random(seed), doubled_rate=0.3, dropped_rate=0.2, throttled_rate=0.2, small_rate=0.2, short_rate=0.2,
        short_s=0.5, most=25,
    )  # fmt: skip
    last, store = drive(of, stack)
    hows = [record.outcome.how for record in stack.functions.records]
    assert final(store, of, last) == at_home, (seed, hows)


@pytest.mark.parametrize("kind", ["small", "short", "dropped", "doubled", "throttled"])
def test_each_fault_alone_really_happens(stack, at_home, kind):
    """The first faults of a kind strike for certain; the run repairs itself."""
    of = spec(f"one-{kind}", max_attempts=50)
    most = 2 if kind != "doubled" else 3
    stack.functions.faults = Faults(**{f"{kind}_rate": 1.0}, short_s=0.05, most=most)
    last, store = drive(of, stack)
    assert stack.functions.faults.most == 0
    assert final(store, of, last) == at_home
    hows = [record.outcome.how for record in stack.functions.records]
    if kind == "small":
        assert "memory" in hows
    if kind == "short":
        assert "timeout" in hows


def test_warm_functions_find_their_shards_again(stack):
    """The second run of the same data reads no shard: the processes of the first have them."""
    stack.functions.idle()
    of = spec("warm-1", workers=1, rounds=1)
    drive(of, stack)
    first = len(stack.functions.records)
    store, again = open_store(STORE), spec("warm-2", workers=1, rounds=1)
    lifecycle.begin(store, store, again, ROWS)
    from nnlite.data import shards

    keys = [shards.key(ROWS.name, again.data.digest, part, 1, 0) for part in ("train", "test")]
    kept = {key: store.get(key).data for key in keys}
    for key in keys:
        store.delete(key)
    try:
        last = lifecycle.Driver(store, again, platform(again, stack)).drive({0: 1})
    finally:
        for key, data in kept.items():
            store.put(key, data)
    assert last.status == "done"
    assert not any(record.cold for record in stack.functions.records[first:])


def test_an_error_that_would_only_come_again_ends_the_run(stack):
    """Shards that are not there, say: no second attempt is paid for, and the reason is told."""
    store, of = open_store(STORE), spec("broken", workers=1)
    of = replace(of, data=replace(of.data, digest="0" * 64))
    store.put(Keys(of.run).spec, of.to_json())
    lifecycle.complete(store, of)
    last = lifecycle.Driver(store, of, platform(of, stack)).drive({0: 1})
    assert last.status == "failed"
    assert "shard datasets/tiny-0000000000000000" in last.reason
    stack.functions.idle()
    assert [event["attempt"] for _, event in stack.functions.calls] == [1]


@contextlib.contextmanager
def spoilt(stack, name: str, text: str) -> Iterator[None]:
    """The deployed bundle with another text in one of its files; for processes that start cold."""
    path = stack.functions.deployed(NAME).root / name
    before = path.read_bytes()
    stack.functions.cool()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_bytes(before)
        stack.functions.cool()


ERRORS, HANDLER, MEMCACHED = "nnlite/errors.py", "lambda_pkg/handler.py", "pymemcache/__init__.py"
BROKEN = {
    "a module that is missing": (ERRORS, "import nowhere", "Runtime.ImportModuleError", "No module named 'nowhere'"),
    "one that is missing later": (MEMCACHED, "import nowhere", "ModuleNotFoundError", "No module named 'nowhere'"),
    "no Python": (HANDLER, "def handle(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'lambda_pkg."),
    "no handler": (HANDLER, "", "Runtime.HandlerNotFound", "Handler 'handle' missing on module 'lambda_pkg.handler'"),
    "the wrong processor": (HANDLER, "raise OSError(8, 'Exec format error', 'x.so')", "OSError", "Exec format error"),
}


@pytest.mark.parametrize("what", [*BROKEN])
def test_a_function_that_can_only_fail_ends_the_run_at_once(stack, what):
    """By its own words and what to do; nobody is replaced, and nothing runs any more."""
    name, text, kind, says = BROKEN[what]
    of, url = spec(f"hopeless-{[*BROKEN].index(what)}", lease_ttl_s=120.0, straggler_timeout_s=60.0), STORE
    if "later" in what:  # the store is opened when the worker is at work
        url = "memcached://127.0.0.1:1/nowhere"
    store = open_store(STORE)
    lifecycle.begin(store, store, of, ROWS)
    driver = lifecycle.Driver(store, of, platform(of, stack, url))
    with spoilt(stack, name, text):
        with pytest.raises(RunError) as raised:
            driver.drive(dict.fromkeys(range(of.num_workers), 1))
        stack.functions.idle()
    said = str(raised.value)
    assert "\n" not in said
    assert said.startswith(f"the function {NAME} fails each time: {kind}: ")
    assert says in said
    assert said.endswith("; deploy it again (python -m tools.deploy), then go on by resume=")
    assert [event["attempt"] for _, event in stack.functions.calls] == [1] * of.num_workers
    last = lifecycle.standing(store, of)
    assert (last.status, last.reason) == ("failed", said)


def test_the_command_says_so_in_one_line_and_ends_with_1(stack, tmp_path):
    with spoilt(stack, ERRORS, "import nowhere"):
        done = call(
            "train", "--platform", "lambda", "--case", "c", "--dataset", "fashion-sample", "--workers", 2,
            "--rounds", 1000, "--run", "hopeless", "--yes", "--out", tmp_path / "w.safetensors",
        )  # fmt: skip
        stack.functions.idle()
    assert done.code == 1, done.err
    (error,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert error == (
        f"error: the function {NAME} fails each time: Runtime.ImportModuleError: Unable to import module "
        "'lambda_pkg.handler': No module named 'nowhere'; deploy it again (python -m tools.deploy), then go on "
        "by --resume"
    )
    assert {record.outcome.how for record in stack.functions.records} == {"error"}
    assert stack.functions.calls != []


def test_lost_events_come_back_through_the_queue(stack):
    """An event that Lambda gave up on is a casualty at once, with its reason; other runs' stay in the queue."""
    of = spec("lost")
    mine = {"run": "lost", "store": STORE, "worker": 2, "attempt": 1, "spec": of.sha256}
    for payload in (mine, mine | {"run": "another"}):
        stack._lost({"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": payload,
                     "responsePayload": {"errorMessage": "boom"}})  # fmt: skip
    there = platform(of, stack)
    there._queue_every_s = 0.0
    lost: list = []
    end_s = time.monotonic() + 10
    while not lost and time.monotonic() < end_s:
        lost += there.casualties()
    assert lost == [(2, 1)]
    told = there.events.get()
    assert (told["worker"], told["why"]) == (2, "RetriesExhausted: boom")
    assert there.casualties() == []


# ---- money


def rates(worker_second_usd: float) -> Rates:
    return replace(prices.tariff("us-east-1").rates(1769), worker_second_usd=worker_second_usd)


@pytest.mark.parametrize("cap", ["budget", "attempts"])
def test_a_run_that_passes_its_budget_or_attempts_stops_and_nothing_is_invoked_after(stack, cap):
    """It would last for ever; afterwards not one more event is sent."""
    more = {"rounds": 10**6}
    if cap == "budget":
        more |= {"budget_usd": 3.0, "rates": rates(0.2)}  # a few seconds of three workers
    else:
        more |= {"workers": 1, "max_attempts": 1, "lease_ttl_s": 0.5, "straggler_timeout_s": 0.3, "beat_s": 0.2}
        stack.functions.faults = Faults(small_rate=1.0)  # nobody ever gets anywhere
    of = spec(f"cap-{cap}", **more)
    last, _ = drive(of, stack)
    assert last.status in ("stopped", "failed", "done"), last
    assert ("budget" if cap == "budget" else "attempts") in last.reason
    stack.functions.idle()
    sent = len(stack.functions.calls)
    time.sleep(of.lease_ttl_s)
    assert len(stack.functions.calls) == sent
    assert not any(event["run"] != of.run for _, event in stack.functions.calls)


def test_a_function_that_is_cut_off_is_not_used(stack):
    function = Function(NAME, CloudAccount())
    function.cut_off()
    try:
        with pytest.raises(RunError, match=r"cut off .*python -m tools\.stop --release"):
            check_concurrency(function, 1)
    finally:
        function.release(None)
    assert function.configuration().reserved is None
