"""A store that forgets everything: the run goes on from the newest durable checkpoint."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from nnlite.errors import UsageError
from nnlite.protocol.downpour import updates
from nnlite.protocol.effects import Create, Get
from nnlite.protocol.records.head import DONE, FAILED, Head
from nnlite.protocol.records.keys import LIFE
from nnlite.protocol.roles import durable
from nnlite.simulation.simulator import Faults
from tests.protocol.test_downpour import downpour, expected
from tests.protocol.test_faults import BOUND_S, outcome, schedule
from tests.protocol.toy import simulate, spec, vector_of

DURABLE = {"checkpoint_store": "memory://durable", "checkpoint_every": 2}


def wiped(seed, *at_s):
    return replace(schedule(seed), wipe_at_s=at_s)


@pytest.mark.parametrize("at_s", [(0.5,), (3.0,), (6.0,), (2.0, 5.0, 30.0)])
def test_averaging_ends_with_the_same_bytes(at_s):
    run_spec = spec(3, 5, (1, 2, 3), **DURABLE)
    calm = outcome(simulate(run_spec))
    for seed in range(30):
        simulation = simulate(run_spec, seed, wiped(seed, *at_s))
        assert outcome(simulation) == calm, f"seed {seed}"


@pytest.mark.parametrize("at_s", [(0.5,), (3.0,), (6.0,), (2.0, 5.0, 30.0)])
def test_downpour_ends_with_the_durable_checkpoint_plus_what_was_pushed_after_it(at_s):
    lives = 0
    for seed in range(40):
        simulation = simulate(downpour(2 + seed % 3, 1, 1 + seed % 3, **DURABLE), seed, wiped(seed, *at_s))
        last = simulation.run(BOUND_S)
        assert last.status == DONE, f"seed {seed}: {last}"
        there = {**simulation.durable, **simulation.store}  # it may have been wiped after its end
        where = simulation.keys.checkpoint(last.result)
        found = vector_of(there[where].data, where)
        assert np.array_equal(found, restored_and_pushed(simulation)), f"seed {seed}"
        assert sum(last.steps) == 7 * simulation.spec.num_workers, f"seed {seed}"
        lives += last.result >= LIFE
    assert lives > 10


@pytest.mark.parametrize("at_s", [(0.5,), (3.0,), (2.0, 5.0, 30.0)])
def test_a_lone_worker_ends_with_all_its_steps_each_once(at_s):
    lives = 0
    for seed in range(40):
        simulation = simulate(downpour(1, 1 + seed % 3, 1, **DURABLE), seed, wiped(seed, *at_s))
        last = simulation.run(BOUND_S)
        where = simulation.keys.checkpoint(last.result)
        found = {**simulation.durable, **simulation.store}[where].data
        assert np.array_equal(vector_of(found, where), expected(1)), f"seed {seed}: {last}"
        lives += last.result >= LIFE
    assert lives > 10


@pytest.mark.parametrize("make", [lambda n: spec(n, 9, **DURABLE), lambda n: downpour(n, 1, 1, **DURABLE)])
def test_copies_go_on_after_many_have_restored_the_run_at_once(make):
    """Each of them counts a life in the checkpoint store, and only one in the store."""
    raced = 0
    for seed in range(14):
        simulation = simulate(make(8), seed, Faults(wipe_at_s=(1.0 + seed % 7 / 3,)))
        last = simulation.run(BOUND_S)
        kept = Head.from_json(simulation.durable[simulation.keys.head].data, simulation.keys.head)
        assert (kept.status, kept.result) == (DONE, last.result), f"seed {seed}"
        assert simulation.keys.checkpoint(last.result) in simulation.durable, f"seed {seed}"
        raced += kept.life > last.life
        firsts = [key for key in simulation.store if "/ckpt/" in key and int(key.rsplit("/", 1)[1]) % LIFE == 0]
        assert len(firsts) <= 1, f"seed {seed}"
    assert raced > 3


def restored_and_pushed(simulation):
    """What the last life began with, and the sum of all updates of that life."""
    last = Head.from_json({**simulation.durable, **simulation.store}[simulation.keys.head].data, simulation.keys.head)
    life = last.result // LIFE * LIFE
    begun, seen = None, {}
    for _, effect in simulation.performed:
        if isinstance(effect, Create) and effect.key == simulation.keys.checkpoint(life):
            begun = vector_of(effect.data, effect.key)
        if isinstance(effect, Create) and "/updates/" in effect.key:
            seq = int(effect.key.rsplit("/", 1)[1])
            if seq // LIFE == life // LIFE:
                seen.setdefault(effect.key, updates.decode(effect.data, effect.key, 6).vector)
    if begun is None:  # the first life
        begun = np.arange(6)
    return begun + sum(seen.values())


@pytest.mark.parametrize("protocol", [spec, lambda workers, rounds: downpour(workers)])
def test_without_a_durable_store_the_run_ends_and_says_why(protocol):
    simulation = simulate(protocol(3, 5), 0, Faults(wipe_at_s=(2.0,)))
    last = simulation.run(BOUND_S)
    assert last.status == FAILED
    assert "no longer in the store" in last.reason


@pytest.mark.parametrize("make", [lambda: spec(2, 5, **DURABLE), lambda: downpour(2, 1, 1, **DURABLE)])
def test_a_checkpoint_that_was_evicted_alone_is_put_back(make):
    for seed in range(20):
        simulation = simulate(make(), seed)
        evict_newest(simulation, after=40 + 5 * seed)
        assert simulation.run(BOUND_S).status == DONE, f"seed {seed}"


def evict_newest(simulation, after):
    plain, count = simulation.perform, 0

    def perform(effect, invocation=None):
        nonlocal count
        count += 1
        if count == after:
            head = Head.from_json(simulation.store[simulation.keys.head].data, simulation.keys.head)
            simulation.store.pop(simulation.keys.checkpoint(head.round), None)
        return plain(effect, invocation)

    simulation.perform = perform


def test_two_durable_copies_at_most_and_the_last_is_the_result():
    for make in (lambda: spec(3, 9, **DURABLE), lambda: downpour(3, 1, 1, **DURABLE)):
        simulation = simulate(make())
        last = simulation.run(BOUND_S)
        kept = [key for key in simulation.durable if "/ckpt/" in key]
        assert kept == [simulation.keys.checkpoint(last.result)]
        head = Head.from_json(simulation.durable[simulation.keys.head].data, simulation.keys.head)
        assert (head.status, head.result) == (DONE, last.result)


def test_a_copy_that_is_replaced_while_it_is_being_restored():
    """Between the look at the durable head and the look for its checkpoint, a newer copy is made, and this one goes."""
    simulation = simulate(spec(2, 9, **DURABLE))
    simulation.run(BOUND_S)
    keys = simulation.keys
    data = simulation.durable[keys.checkpoint(9)].data

    def copy(round):
        simulation.durable.clear()
        simulation.perform(Create(keys.checkpoint(round), data, durable=True))
        simulation.perform(Create(keys.head, Head(round, counter=round).to_json(keys.head), durable=True))

    copy(4)
    simulation.store.clear()
    program, answer = durable.restore(simulation.spec), None
    with contextlib.suppress(StopIteration):
        while True:
            effect = program.send(answer)
            if isinstance(effect, Get) and effect.key == keys.checkpoint(4):
                copy(6)
            answer = simulation.perform(effect)
    assert Head.from_json(simulation.store[keys.head].data, keys.head).round == 6


def test_a_worker_is_replaced_though_the_specification_was_evicted():
    """An invocation begins by reading it, and a store that forgets what is seldom read forgets that first."""
    for make in (lambda: spec(2, 5), lambda: downpour(2, 1, 1)):
        simulation = simulate(make(), 0, Faults(crash_rate=0.1, max_crashes=1))
        simulation.run(BOUND_S)
        assert simulation.counts["crashes"] == 1
        assert simulation.store[simulation.keys.spec].data == simulation.spec.to_json()


def test_a_checkpoint_store_without_a_period_is_refused():
    with pytest.raises(UsageError, match="checkpoint_every"):
        spec(2, 3, checkpoint_store="memory://durable")


def test_a_store_that_forgets_every_checkpoint_ends_the_run_and_says_what_to_do():
    """As a memcached that is too small for them: the run is restored, again and again, and not for ever."""
    for make in (lambda: spec(2, 5, **DURABLE), lambda: downpour(2, 1, 1, **DURABLE)):
        simulation = simulate(make())
        forget_checkpoints(simulation)
        last = simulation.run(BOUND_S)
        assert last.status == FAILED
        assert "more memory" in last.reason


def forget_checkpoints(simulation):
    plain = simulation.perform

    def perform(effect, invocation=None):
        answer = plain(effect, invocation)
        for key in [key for key in simulation.store if "/ckpt/" in key]:
            del simulation.store[key]
        return answer

    simulation.perform = perform


def test_after_a_wipe_hand_overs_are_no_deaths():
    for seed in range(20):
        run_spec = spec(3, 20, max_attempts=6, rounds_per_invocation=2, **DURABLE)
        simulation = simulate(run_spec, seed, Faults(wipe_at_s=(25.0,), crash_rate=0.001, max_crashes=1))
        assert simulation.run(BOUND_S).status == DONE, f"seed {seed}"


@pytest.mark.parametrize("make", [lambda: spec(2, 50, **DURABLE), lambda: downpour(2, 1, 1, **DURABLE)])
def test_a_run_that_was_stopped_by_a_cap_is_durable_as_it_stands(make):
    simulation = simulate(replace(make(), max_s=3.0))
    last = simulation.run(BOUND_S)
    if last.status == "stopped":
        kept = Head.from_json(simulation.durable[simulation.keys.head].data, simulation.keys.head)
        assert (kept.status, kept.result) == (last.status, last.result)
        assert simulation.keys.checkpoint(last.result) in simulation.durable


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (Head(4, counter=9), Head(6, counter=7)),
        (Head(6, counter=9), Head(6, DONE, result=6, counter=8)),
        (Head(6, counter=8), Head(6, counter=9)),
    ],
)
def test_an_older_head_never_takes_the_place_of_a_newer_copy(older, newer):
    """Of two that keep copies one may be slow: what it has then is older."""
    simulation = simulate(spec(2, 9, **DURABLE))
    simulation.durable.clear()
    for head in (newer, older):
        program, answer = durable.keep(simulation.spec, head, b"checkpoint"), None
        with contextlib.suppress(StopIteration):
            while True:
                answer = simulation.perform(program.send(answer))
    key = simulation.keys.head
    assert Head.from_json(simulation.durable[key].data, key) == newer
    assert simulation.keys.checkpoint(newer.round) in simulation.durable
