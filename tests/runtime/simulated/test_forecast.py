"""Forecasts: time, requests, bytes and dollars follow from the constants, and from nothing else."""

from dataclasses import replace

import pytest

from nnlite.protocol.records.spec import Rates
from nnlite.simulation.faults import Faults
from nnlite.simulation.forecast import Subject, forecast, make
from nnlite.simulation.profile import ComputeProfile, StoreProfile, Verb, WorldProfile
from nnlite.simulation.workload import Workload
from tests.protocol.toy import spec as toy_spec

FREE = Verb(0.0, 1e12)
SUBJECT = Subject(num_parameters=25_000, row_bytes=10)  # 100,000 bytes
SIZE = 100_000


def spec(num_workers=4, num_rounds=4, **more):
    return toy_spec(num_workers, num_rounds, steps_per_round=50, max_poll_s=0.01, look_s=0.01, **more)


def profile(store=None, step_s=0.01, **more):
    compute = ComputeProfile(step_s, 0.0, 0.0, 1e12, 1e12)
    return WorldProfile(**{"store": store or StoreProfile(FREE, FREE, FREE), "compute": compute, "case": "toy",
                      "batch_size": 1, "start_s": 0.0, **more})  # fmt: skip


def test_where_all_else_is_free_a_round_takes_its_steps():
    for num_workers in (1, 4, 30):
        assert forecast(spec(num_workers), SUBJECT, profile()).round_s == pytest.approx(0.5, rel=0.1)


def test_a_single_connection_moves_a_contribution_and_a_checkpoint_each_round():
    narrow = StoreProfile(Verb(0.0, SIZE / 2.0), Verb(0.0, SIZE / 3.0), FREE)
    found = forecast(spec(1), SUBJECT, profile(narrow))
    # the contribution and the next checkpoint are written (3 s each), the checkpoint is read (2 s)
    assert found.round_s == pytest.approx(0.5 + 2 * 3.0 + 2.0, rel=0.1)


def test_what_all_share_bounds_the_round_from_below():
    shared = StoreProfile(FREE, FREE, FREE, shared_bytes_per_s=10 * SIZE)
    alone, many = (forecast(spec(n, 3), SUBJECT, profile(shared)) for n in (1, 20))
    assert alone.round_s < 1.0
    assert many.round_s > 0.5 + 2 * 20 / 10  # twenty write, and read: at ten a second


def test_bytes_are_those_of_the_real_network():
    found = forecast(spec(8, 3), SUBJECT, profile())
    contributions, merges_at_most = 8 * 3 * SIZE, 8 * 3 * SIZE
    assert contributions < found.bytes_written < 1.1 * (contributions + merges_at_most)
    assert found.bytes_read > contributions  # each reads the checkpoint


def test_narrow_wires_write_fewer_bytes():
    def update_bytes(wire):
        run = spec(4, 2, protocol="downpour", push_every=5, pull_every=50, wire=wire)
        simulation = make(run, SUBJECT, profile())
        written, put = [], simulation._put

        def remember(key, *more):
            put(key, *more)
            return written.append(simulation.store[key]) is None

        simulation._put = remember
        simulation.run()
        is_last = {last: f'\\"last\\": {last}'.encode() for last in ("false", "true")}
        return [max(one.num_bytes for one in written if mark in one.data) for mark in is_last.values()]

    plain, last = update_bytes("float32")
    assert last == pytest.approx(plain, rel=0.001)
    # of topk an index and a value for each, and a header; the last update of a worker is whole
    assert update_bytes("float16") == pytest.approx([plain / 2, plain], rel=0.02)
    assert update_bytes("topk:1%") == [pytest.approx(plain / 50, rel=0.3), pytest.approx(plain, rel=0.02)]


def test_the_same_seed_gives_the_same_forecast():
    jittery = replace(profile(StoreProfile(Verb(0.01, 1e6), Verb(0.02, 1e6), FREE, spread=0.5)), start_spread=0.5)
    trouble = Faults(crash_rate=0.001, straggler_rate=0.2, straggler_factor=3.0)
    first, same, other = (forecast(spec(6), SUBJECT, jittery, seed, trouble) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_seconds_become_gigabyte_seconds_and_dollars():
    rates = Rates("lambda", 2_048, worker_second_usd=0.5, invocation_usd=7.0, read_usd=0.01, write_usd=0.1)
    simulation = make(spec(3, rates=rates, lease_ttl_s=200.0), SUBJECT, profile(start_s=50.0))
    simulation.run()
    simulation.drain()
    meter = simulation.meter
    ages = [one.seconds for one in simulation.invocations]
    assert meter.seconds == pytest.approx(sum(ages))
    assert min(ages) > 50.0  # starting is paid
    assert meter.gb_s == pytest.approx(2 * sum(ages))
    use = meter.workers
    expected = 0.5 * sum(ages) + 3 * 7.0 + 0.01 * use.num_reads + 0.1 * use.num_writes
    assert meter.usd == pytest.approx(expected)


def test_every_request_is_counted_once():
    simulation = make(spec(5), SUBJECT, profile())
    simulation.run()
    simulation.drain()
    kinds = ("Get", "GetMany", "Missing", "Create", "Swap", "Delete", "DeleteMany")
    started = 5 * 3  # specification and two shards
    asked = sum(simulation.counts[kind] for kind in kinds)
    meter = simulation.meter
    assert meter.workers.num_requests + meter.watcher.num_requests == asked + started
    assert meter.num_requests == meter.workers.num_requests - started


def test_staleness_is_that_of_the_summaries_and_averaging_has_none():
    found = forecast(spec(6, 2, protocol="downpour", push_every=5, pull_every=5), SUBJECT, profile())
    assert 0 < found.staleness_mean <= found.staleness_max
    assert forecast(spec(6, 2), SUBJECT, profile()).staleness_max == 0


def test_invocations_that_are_cut_off_hand_over_and_the_run_ends():
    found = forecast(spec(3, 6, hand_over_s=0.2), SUBJECT, profile(), faults=Faults(timeout_s=2.0))
    assert (found.status, found.crashes) == ("done", 0)
    assert found.invocations > 3


def test_faults_cost_time_and_invocations_and_no_result():
    calm, troubled = (forecast(spec(10), SUBJECT, profile(), 3, Faults(crash_rate=rate)) for rate in (0.0, 0.005))
    assert troubled.status == calm.status == "done"
    assert troubled.crashes > 0
    assert troubled.invocations > calm.invocations == 10
    assert troubled.total_s > calm.total_s


def test_values_weigh_nothing_here_and_what_is_collected_is_gone():
    """A thousand workers with 100 MB each: the process holds toys of them, and of two rounds at most."""
    simulation = make(spec(1_000, 6), Subject(25_000_000, 10), profile())
    simulation.run()
    assert sum(len(value.data) for value in simulation.store.values()) < 10_000_000
    assert len(simulation.story) == 0


def test_the_rows_of_a_table_are_four_bytes_a_number(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,kind\n" + "".join(f"{n},{n % 7},{'xy'[n % 2]}\n" for n in range(40)))
    assert Workload.of_case("auto", str(tmp_path / "t.csv")).subject("averaging").row_bytes == 2 * 4
    assert Workload.of_case("c").subject("averaging").row_bytes == 28 * 28
