"""What OpenFaaS does to calls, done to a small run: it ends, with the same bytes, or with every update in it once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import lifecycle
from nnlite.store import Store, open_store
from tests.platform.openfaas.conftest import client
from tests.platform.openfaas.gateway import FakeGateway, running
from tests.runtime import small
from tests.servers import Memcached, need_memcached

ROWS = small.dataset()
WORKERS, ROUNDS = 3, 60


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    need_memcached()
    with Memcached("-m", "64") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(packed: Path, secrets: Path) -> Iterator[FakeGateway]:
    with running() as gateway:
        gateway.deploy("emnist-train", packed / "emnist-train", environment(secrets), replicas=WORKERS)
        OpenFaaSInvoker(client(gateway), "r", "memcached://127.0.0.1:1/r", "emnist-train", "0" * 64).scale(WORKERS)
        yield gateway


def environment(secrets: Path, **more: str) -> dict[str, str]:
    return {"secret_mount_path": str(secrets), "exec_timeout": "60s", "max_inflight": "1", **more}


def spec(run: str, protocol: str, **more: Any) -> RunSpec:
    pace = {} if protocol == "averaging" else {"push_every": 3, "pull_every": 3}
    times = {"lease_ttl_s": 2.0, "straggler_timeout_s": 0.5, "beat_s": 0.2, "slice_s": 0.05, "max_poll_s": 0.02}
    settings = {**times, **pace, **more}
    return small.spec(ROWS, WORKERS, settings.pop("rounds", ROUNDS), run=run, protocol=protocol, **settings)


def train(cluster: FakeGateway, store: Store, of: RunSpec, style: str = "sync", story: Any = None) -> Head:
    lifecycle.begin(store, store, of, ROWS)
    platform = OpenFaaSInvoker(client(cluster), of.run, store.url, "emnist-train", of.sha256, style)
    driver = lifecycle.Driver(store, of, platform, tell=story or small.Story())
    return driver.drive(dict.fromkeys(range(of.num_workers), 1))


def assert_sound(store: Store, of: RunSpec, last: Head) -> None:
    """Averaging: the bytes of a run without faults. Downpour: every step and every update of everybody, once."""
    assert last.status == "done", last
    if of.protocol == "downpour":
        steps = ROUNDS * -(-len(ROWS.train) // of.num_workers // of.batch_size)
        assert last.steps == (steps,) * of.num_workers
        if not last.life:  # seqs begin anew when a run is restored
            assert last.applied == (-(-steps // of.push_every),) * of.num_workers
    else:
        with open_store("memory://") as here:
            plain = small.spec(ROWS, of.num_workers, of.num_rounds, run=of.run)
            assert small.final(store, of, last) == small.final(here, plain, small.train(here, plain, ROWS))


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
@pytest.mark.parametrize(
    "faults",
    [("lose", "lose", "double"), ("timeout", "double", "mute"), ("kill", "pass", "double"), ("kill", "kill", "lose")],
    ids="-".join,
)
def test_faults_of_calls(cluster, memcached, faults, protocol):
    cluster.faults.clear()
    cluster.faults.extend(faults)
    of = spec(f"{'-'.join(faults)}-{protocol}", protocol)
    with open_store(f"memcached://{memcached.address}/faults") as store:
        assert_sound(store, of, train(cluster, store, of))
    assert not cluster.faults


def test_the_queue_loses_calls_and_leases_find_out(cluster, memcached):
    """Nobody hears what becomes of a queued call, and it is never made again."""
    cluster.faults.extend(("lose", "double", "kill"))
    of = spec("queued", "averaging", wait_s=0.02)
    with open_store(f"memcached://{memcached.address}/faults") as store:
        assert_sound(store, of, train(cluster, store, of, "async"))


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_a_cache_is_emptied(cluster, memcached, protocol):
    of = spec(f"cache-{protocol}", protocol)
    with Memcached("-m", "64") as near:
        url = f"memcached://{memcached.address}/faults?cache=memcached://{near.address}/near"
        with open_store(url) as store:
            emptied = threading.Timer(0.3, near.restart)
            emptied.start()
            assert_sound(store, of, train(cluster, store, of))
            emptied.join()


def test_fewer_places_than_workers(packed, secrets, memcached):
    """One replica with one place, three workers who wait for each other: calls are turned away, and come again."""
    of = spec("places", "averaging", rounds=2, wait_s=0.02, lease_ttl_s=20.0, straggler_timeout_s=5.0)
    with running() as cluster, open_store(f"memcached://{memcached.address}/faults") as store:
        cluster.deploy("emnist-train", packed / "emnist-train", environment(secrets))  # and not even listening yet
        assert_sound(store, of, train(cluster, store, of))


@pytest.mark.parametrize("told", [True, False], ids=["in time", "cut off"])
def test_exec_timeout(packed, secrets, memcached, told):
    """Workers that know their time hand over; others are cut off with 504 and go on for a while, beside the next."""
    slow = spec(f"time-{told}".lower(), "averaging", hand_over_s=0.4, poll_s=0.02, max_poll_s=0.03)
    with running(exec_timeout_s=1.0) as cluster, open_store(f"memcached://{memcached.address}/faults") as store:
        known = environment(secrets, exec_timeout="1s" if told else "60s", max_inflight="4")
        cluster.deploy("emnist-train", packed / "emnist-train", known)
        story = small.Story()
        began_s = time.monotonic()
        last = train(cluster, store, slow, story=story)
        assert_sound(store, slow, last)
        attempts = max(call["attempt"] for call in cluster.calls)
        if told:  # those that are cut off may come through all the same, beside the next
            assert attempts > 1 or time.monotonic() - began_s < 2, story
        if told and not story.all("unavailable"):
            assert not story.all("replaced")


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_the_shared_memcached_is_restarted(cluster, protocol, tmp_path):
    """It forgets everything; what is kept elsewhere every few versions is put back, and the run goes on from there."""
    lasting = f"file://{tmp_path / 'lasting'}"
    with Memcached("-m", "64") as shared, open_store(f"memcached://{shared.address}/faults") as store:
        of = spec(f"restart-{protocol}", protocol, checkpoint_store=lasting, checkpoint_every=4)
        of = replace(of, data=replace(of.data, store=lasting))
        lifecycle.begin(store, open_store(lasting), of, ROWS)
        platform = OpenFaaSInvoker(client(cluster), of.run, store.url, "emnist-train", of.sha256)
        story = small.Story()
        driver = lifecycle.Driver(store, of, platform, tell=story)
        restarted = threading.Timer(0.5, shared.restart)
        restarted.start()
        last = driver.drive(dict.fromkeys(range(of.num_workers), 1))
        restarted.join()
        assert_sound(store, of, last)
        assert last.life > 0 or not story.all("restored")
