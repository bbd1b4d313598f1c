"""The trainer: what a step does depends on its number alone, however the work is cut into slices."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from nnlite import nn
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.runtime import shard_store, trainer
from nnlite.store.memory import MemoryStore
from tests.runtime import small

ROWS = small.dataset(100, num_test=1500)
OF = small.spec(ROWS, 2, batch_size=7, optimizer=nn.Adam(0.01), network=small.mlp(nn.Dropout(0.3)))
START = contribution.encode(trainer.initial(OF), Tally(), "start")


def make(worker: int = 0, clock=None, of=OF) -> trainer.Trainer:
    store = MemoryStore()
    shard_store.upload(store, of, ROWS)
    return trainer.Trainer(of, worker, store, **({"clock": clock} if clock else {}))


def trained(one: trainer.Trainer, round: int) -> tuple[bytes, float]:
    one.adopt(round, START, "start")
    done = one.train(60.0)
    assert (done.finished, done.num_samples) == (True, 50)
    return one.collect().vector.tobytes(), done.loss_sum


def test_every_round_has_an_order_of_its_own_and_always_the_same():
    one = make()
    first, second, again = trained(one, 0), trained(one, 1), trained(one, 0)
    assert first == again == trained(make(), 0)
    assert first != second
    assert first != trained(make(worker=1), 0)


def test_slices_of_time_change_nothing():
    ticking = itertools.count()
    sliced = make(clock=lambda: float(next(ticking)))
    sliced.adopt(2, START, "start")
    counts = []
    while not (progress := sliced.train(0.5)).finished:  # every look at the clock finds a second gone
        counts.append(progress.num_samples)
    assert counts == [7, 14, 21, 28, 35, 42, 49]
    assert (sliced.collect().vector.tobytes(), progress.loss_sum) == trained(make(), 2)


def test_scoring_in_slices_counts_every_test_row_once():
    ticking = itertools.count()
    whole, sliced = make(), make(clock=lambda: float(next(ticking)))
    for one in (whole, sliced):
        one.adopt(1, START, "start")
    expected = whole.score(60.0)
    assert (expected.finished, expected.num_samples) == (True, 750)
    slices = 1
    while not (progress := sliced.score(0.5)).finished:
        slices += 1
    assert slices == 2
    assert progress == expected


def test_a_state_is_weights_and_slots_by_name():
    state = trainer.State(nn.Sequential([nn.Dense(2)], (3,)), nn.Adam(0.1))
    assert list(state.shapes.items())[:3] == [
        ("dense1/weight", (3, 2)), ("dense1/bias", (2,)), (f"{nn.Adam.slot_names[0]}:dense1/weight", (3, 2))
    ]  # fmt: skip
    assert state.slots.shape == (len(nn.Adam.slot_names), 8)
    assert np.shares_memory(state.model().vector, state.weights)


def test_the_optimizer_s_memory_is_part_of_a_checkpoint():
    """Momentum is averaged and kept like the weights: half a run, and the other half, is the whole."""
    of = small.spec(ROWS, 1, optimizer=nn.Momentum(0.05), steps_per_round=4)
    one, other = make(of=of), make(of=of)
    start = contribution.encode(trainer.initial(of), Tally(), "start")
    one.adopt(0, start, "start")
    one.train(60.0)
    half = contribution.encode(one.collect(), Tally(), "half")
    other.adopt(1, half, "half")
    other.train(60.0)
    long = make(of=small.spec(ROWS, 1, optimizer=nn.Momentum(0.05), steps_per_round=8))
    long.adopt(0, start, "start")
    long.train(60.0)
    assert other.collect().vector.tobytes() == long.collect().vector.tobytes()
    assert np.any(one.state.slots)


@pytest.mark.parametrize("augment", [None, {"flip": True, "crop": 1}])
def test_augmentation_reaches_the_batches(augment):
    plain = make(of=replace(OF, data=replace(OF.data, augment=augment)))
    assert (trained(plain, 0) == trained(make(), 0)) == (augment is None)


def test_the_trainer_of_another_run_stands_at_its_beginning():
    """Its first weights are those of the run alone, also after we trained; what it reads is its own data."""
    other = replace(OF, num_workers=1, tree_widths=(1,), network=small.mlp(hidden=5).config(), seed=9)
    fewer = small.dataset(60)
    elsewhere = replace(other, data=replace(other.data, digest=fewer.digest(), num_train=60, num_test=len(fewer.test)))
    one, store = make(), MemoryStore()
    trained(one, 0)
    shard_store.upload(store, other, ROWS)
    shard_store.upload(store, elsewhere, fewer)
    one._store = store
    for following in (one.following(other), one.following(other).following(other)):
        assert following.collect().vector.tobytes() == trainer.initial(other).vector.tobytes()
        assert following.step == 0
    second = one.following(other)
    assert second.train(60.0, second.steps_per_round).num_samples == 100
    assert second.following(other)._train is second._train
    third = second.following(elsewhere)
    assert third.train(60.0, third.steps_per_round).num_samples == 60
    assert third.score(60.0).num_samples == len(fewer.test)
