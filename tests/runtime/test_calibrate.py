"""Profiles: measured once, kept, and measured again when what is kept is no profile."""

import math
import os
import resource
from dataclasses import replace

import pytest

from nnlite.cost.estimate import estimate
from nnlite.errors import RunError, UsageError
from nnlite.estimating import calibrate, probe
from nnlite.estimating.conditions import local
from nnlite.estimating.short_run import short_run, shortened
from nnlite.protocol import protocols
from nnlite.protocol.records.tree import Tree
from nnlite.store import open_store
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from nnlite.store.s3 import client
from tests.runtime import small

ROWS = small.dataset()


def test_a_calibration_tells_of_a_real_run_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "ROUND_S", 0.05)
    spec, store = small.spec(ROWS, num_workers=2, num_rounds=5), FileStore(tmp_path / "store")
    profile = calibrate.calibrated(spec, ROWS, store, local(2), tmp_path / "cache")
    assert not (tmp_path / "store").exists()
    assert 0 < profile.step_s < 1
    assert 0 < profile.cold_start_s < 60
    assert 10 < profile.peak_mb < 2000
    made = estimate(spec, profile, calibrate.model_bytes(spec), processes=2)
    assert made.seconds > profile.cold_start_s
    assert made.cost.date is None


def test_a_profile_is_measured_once_and_again_when_damaged(tmp_path, monkeypatch):
    measured = []
    known = calibrate.rough(small.spec(ROWS), local(1))
    monkeypatch.setattr(calibrate, "calibrate", lambda *_: measured.append(1) or known)
    spec, store = small.spec(ROWS), MemoryStore()

    def ask(spec=spec, processes=1):
        return calibrate.calibrated(spec, ROWS, store, local(processes), tmp_path)

    assert ask() == ask() == known
    assert len(measured) == 1
    (kept,) = tmp_path.iterdir()
    kept.write_text("{")
    assert ask() == known
    assert len(measured) == 2
    os.utime(kept, (0, 0))  # long ago
    ask()
    assert len(measured) == 3
    ask(processes=2)
    ask(small.spec(ROWS, batch_size=3))
    ask(small.spec(ROWS, network=small.mlp(hidden=9)))
    assert len(measured) == 6


PLACES = {  # URL -> what the environment says beside it
    "s3://bucket/p": {}, "s3://bucket/p?region=eu-west-1": {}, "s3://bucket/p?endpoint=http://127.0.0.1:1": {},
    "s3://bucket/p?endpoint=http://127.0.0.1:2": {}, "s3://bucket/p?attempts=9": {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
    "s3://bucket/p?attempts=7": {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"}, "s3://bucket/p?fault_rate=0.5": {},
    "s3://bucket/p?cache=memory://": {}, "s3://bucket/q": {"AWS_DEFAULT_REGION": "eu-west-1"},
}  # fmt: skip


def test_a_profile_is_kept_for_the_server_that_it_was_measured_at(tmp_path, monkeypatch):
    """Which the URL says, or the environment; the same place has the same profile."""
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "CONFIG_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def kept(url: str, environment: dict[str, str]) -> str:
        client.forget_session()
        with monkeypatch.context() as here, open_store(url) as store:
            for name, value in environment.items():
                here.setenv(name, value)
            return calibrate._path(small.spec(ROWS), store, local(1), tmp_path).name

    for _ in range(2):
        assert kept("s3://bucket/p", {}) == kept("s3://bucket/p", {})
    found = [kept(*place) for place in PLACES.items()]
    found += [kept("s3://bucket/p", {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}) for port in (1, 2)]
    found += [kept("s3://bucket/p", {"AWS_DEFAULT_REGION": "eu-west-3"})]
    client.forget_session()
    assert len(set(found)) == len(found)


OTHERWISE = {  # field of a specification -> another value; all others are the same on a platform and a store
    "network": small.mlp(hidden=9).config(), "optimizer": small.nn.Momentum(0.1).config(), "batch_size": 3,
    "threads": 2, "num_workers": 3, "tree_widths": (1, 2, 2), "num_rounds": 9, "steps_per_round": 5, "eval_every": 2,
    "target_accuracy": 0.5, "checkpoint_every": 2, "max_s": 9.0, "rounds_per_invocation": 1, "init": "w",
    "trace": False,
    "slow_momentum": 0.5, "average_last": 2, "ema": 0.5, "quorum": 1, "protocol": "downpour", "push_every": 3,
    "pull_every": 3, "combine": "sum", "max_staleness": 3, "staleness_aware": True, "wire": "float16",
}  # fmt: skip


@pytest.mark.parametrize("field", OTHERWISE)
def test_runs_that_share_a_profile_are_measured_in_the_same_way(field, tmp_path):
    """What is measured with one configuration is not kept for another; what no short run has is none of a profile."""
    one, store, venue = small.spec(ROWS, num_workers=2, num_rounds=5), MemoryStore(), local(2)
    more = {"tree_widths": (1, 3)} if field == "num_workers" else {}
    other = replace(one, **{field: OTHERWISE[field]}, **more)
    assert other != one

    def measured(spec):
        short = shortened(spec, ROWS, Tree.for_workers(2), 4, 2)[0]
        of_downpour = {name: getattr(one, name) for name in protocols.named("downpour").option_names()}
        return replace(short, run="probe", data=replace(short.data, digest="0" * 32), **of_downpour)

    if calibrate._path(one, store, venue, tmp_path) == calibrate._path(other, store, venue, tmp_path):
        assert measured(one) == measured(other)


def test_probes_are_of_rounds():
    """They would time averaging, whatever was asked for."""
    spec = small.spec(ROWS, num_workers=2, num_rounds=5, protocol="downpour")
    with pytest.raises(UsageError, match="protocol downpour: probes time rounds of averaging") as caught:
        probe.Probe(spec, ROWS, 4, probe.local_at(spec))
    assert caught.value.parameter == "protocol"


def test_functions_are_measured_by_a_few_processes_by_all():
    here = local(100)
    assert calibrate.num_workers(here) == 100  # they take each other's processors
    assert calibrate.num_workers(replace(here, is_here=False)) == 8
    assert calibrate.num_workers(replace(here, is_here=False, processes=3)) == 3


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    known = calibrate.rough(small.spec(ROWS), local(1))
    monkeypatch.setattr(calibrate, "calibrate", lambda *_: known)
    (tmp_path / "file").write_text("in the way")
    assert calibrate.calibrated(small.spec(ROWS), ROWS, MemoryStore(), local(1), tmp_path / "file" / "cache") == known


def test_a_probe_is_held_to_a_share_of_the_processor():
    """Its process gets an eighth of the time that passes, start-up included; a busy machine only lowers that."""
    spec = small.spec(ROWS)
    steps = calibrate.steps_for(spec, 0.04)
    before_s = processor_s()
    probed = probe.Probe(spec, ROWS, steps, probe.local_at(spec), (1e-4, 1e9))(221, 1)
    assert len(probed.round_s) == probe.NUM_ROUNDS
    assert processor_s() - before_s < 1.5 * probed.usage.seconds * 221 / 1769 + 0.2


def processor_s() -> float:
    """Processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_probe_that_needs_more_memory_than_it_has_says_so():
    asked = probe.Probe(small.spec(ROWS), ROWS, 3000, lambda mb, num: local(1), (1e-4, 1e9))
    probed = asked(20, 1)
    assert probed.round_s == (math.inf,)
    assert probed.usage.peak_mb > 20


def test_cores_that_are_not_there_are_refused(monkeypatch):
    monkeypatch.setattr(probe, "usable_cores", lambda: 2.0)
    probe.check_cores(1769, 2, threads=1)
    probe.check_cores(10240, 2, threads=1)  # one thread uses one core
    for memory_mb, num_workers, threads in ((1769, 3, 1), (5400, 1, 4), (256, 20, 1)):
        with pytest.raises(UsageError, match=r"cores, and 2 can be used here: a probe here would time something else"):
            probe.check_cores(memory_mb, num_workers, threads)


def test_what_is_shortened_stays_the_same_case():
    spec = small.spec(ROWS, num_workers=2, num_rounds=50, target_accuracy=0.5, checkpoint_every=3)
    short, few = shortened(spec, ROWS, Tree((1, 3)), 4, 2)
    assert (short.network, short.optimizer, short.batch_size) == (spec.network, spec.optimizer, spec.batch_size)
    assert (short.num_workers, short.num_rounds, short.steps_per_round) == (3, 3, 4)
    assert (short.target_accuracy, short.checkpoint_every) == (None, 0)
    assert short.run != spec.run
    assert (len(few.train), len(few.test)) == (short.data.num_train, short.data.num_test)


@pytest.mark.parametrize(("dtype", "value_bytes"), [(None, 1), ("uint8", 1), ("int8", 1), ("float32", 4)])
def test_a_sample_is_as_large_as_its_values(dtype, value_bytes):
    """A table's numbers are four times a picture's: shards are read, and memory is filled, accordingly."""
    of = small.spec(ROWS)
    of = replace(of, data=replace(of.data, dtype=dtype))
    assert calibrate.row_bytes(of) == ROWS.train.x[0].size * value_bytes + 1


def test_a_short_run_that_fails_is_an_error():
    spec = small.spec(ROWS, optimizer=small.nn.SGD(3e38))
    short, few = shortened(spec, ROWS, Tree((1,)), 50, 2)
    with pytest.raises(RunError, match="no longer a number"):
        short_run(short, few, local(1))
