"""EMNIST's case on OpenFaaS, to 0.75 on real images: a gateway, handlers in processes of their own, real memcached.

The images are those that nnlite brings along, in EMNIST's format, so this runs everywhere; and EMNIST, where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from nnlite.data import Dataset
from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker
from nnlite.protocol.records.head import Head
from nnlite.runs import lifecycle, plan
from nnlite.runs.job import Job
from nnlite.store import Store, open_store
from tests.platform.openfaas.conftest import client
from tests.platform.openfaas.gateway import FakeGateway
from tests.servers import Memcached

TARGET = 0.75


@pytest.fixture(scope="module")
def store(shared_memcached: Memcached) -> Iterator[Store]:
    with open_store(f"memcached://{shared_memcached.address}/runs") as store:
        yield store


def job(run: str, workers: int, protocol: str, **more: Any) -> Job:
    """Enough for 0.75, whatever the schedule: averaging stops when it is there."""
    if protocol == "averaging":
        pace = {"rounds": 12, "steps_per_round": 300, "target_accuracy": TARGET, "learning_rate": 0.05}
    else:  # on a busy machine updates are many versions old
        pace = {
            "rounds": 1, "steps_per_round": 1200, "batch_size": 128, "push_every": 5, "pull_every": 5,
            "optimizer": "sgd", "learning_rate": 0.3,
        }  # fmt: skip
    return Job(**{"case": "emnist", "run": run, "workers": workers, "protocol": protocol, **pace, **more})


def train(
    cluster: FakeGateway, store: Store, dataset: Dataset, wanted: Job, style: str = "sync", **options: Any
) -> Head:
    """Begin a run and drive it to its end, as tools.train does."""
    times = {"max_poll_s": 0.03, "straggler_timeout_s": 3.0, "lease_ttl_s": 6.0}
    spec = replace(plan.plan(wanted, dataset)[1], wait_s=0.02 if style == "async" else None, **times)
    platform = OpenFaaSInvoker(client(cluster), spec.run, store.url, "emnist-train", spec.sha256, style)
    platform.check(range(spec.num_workers))
    platform.scale(spec.num_workers)
    lifecycle.begin(store, store, spec, dataset)
    driver = lifecycle.Driver(store, spec, platform, **options)
    return driver.drive(dict.fromkeys(range(spec.num_workers), 1))


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("replicas", [1, 3, 6])
def test_real_images_to_three_quarters(cluster, store, sample, replicas, style, protocol):
    reaches_target(cluster, store, sample, replicas, style, protocol)


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
@pytest.mark.parametrize("style", ["sync", "async"])
def test_emnist_to_three_quarters(cluster, store, emnist, style, protocol):
    reaches_target(cluster, store, emnist, 3, style, protocol)


def reaches_target(
    cluster: FakeGateway, store: Store, dataset: Dataset, replicas: int, style: str, protocol: str
) -> None:
    """A run of the case reaches the target on a dataset."""
    run = f"{style}-{protocol}-{replicas}-{len(dataset.train)}"
    alone = {}
    if (style, protocol) == ("async", "downpour"):  # one call at a time: nothing is ever old, so long steps will do
        alone = {
            "steps_per_round": 3600 // replicas,
            "push_every": 40,
            "pull_every": 40,
            "combine": "sum",
            "learning_rate": 0.12,
        }
    last = train(cluster, store, dataset, job(run, replicas, protocol, **alone), style)
    assert last.status == "done", last
    assert last.accuracy is not None
    assert last.accuracy >= TARGET, last
