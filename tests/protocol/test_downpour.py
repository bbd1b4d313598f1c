"""Final weights = initial weights + every pushed update, each exactly once, under any schedule of faults."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nnlite import weights
from nnlite.errors import RunError, UsageError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.downpour import updates
from nnlite.protocol.downpour.combine import Combiner
from nnlite.protocol.downpour.updates import Label, Ledger, Update
from nnlite.protocol.downpour.worker import DownpourWorker
from nnlite.protocol.effects import Create, Get, Join, Model, Swap, Train
from nnlite.protocol.records import head
from nnlite.protocol.records.head import DONE, FAILED, Head
from nnlite.protocol.records.lease import Lease
from nnlite.simulation.simulator import Faults, Simulation
from nnlite.simulation.values import Stored
from tests.protocol.test_faults import BOUND_S, CHUNKS, SEEDS, fail, request_cap, requests, schedule
from tests.protocol.toy import SHAPES, SIZE, STEPS, ToyLearner, followed, simulate, spec


def downpour(num_workers, push_every=2, pull_every=3, combine="sum", **more):
    more = {"eval_every": 0, "combine": combine, **more}
    return spec(num_workers, 1, protocol="downpour", **more, push_every=push_every, pull_every=pull_every)


def expected(num_workers, num_steps=STEPS, share=1.0):
    """What all workers add in all steps, or that `share` of it, as integers or halves and quarters of them: no update
    lost, none applied twice."""
    weights = np.arange(SIZE, dtype=np.float64)
    for worker in range(num_workers):
        for step in range(1, num_steps + 1):
            weights += share * (np.arange(SIZE) * (worker + 1) + step)
    return weights


def ledger_holds(simulation):
    """Run to the end; whether the final weights are the exact sum."""
    try:
        last = simulation.run(BOUND_S)
    except RunError as error:
        fail(simulation, str(error))
    if last.status != DONE:
        fail(simulation, f"ended as {last}")
    where = simulation.keys.checkpoint(last.result)
    found, _ = contribution.decode(simulation.store[where].data, where)
    return np.array_equal(found.vector, expected(simulation.spec.num_workers, share=simulation.spec.update_share))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_hundreds_of_schedules_apply_every_update_exactly_once(chunk):
    for seed in range(chunk, SEEDS, CHUNKS):
        num_workers = 1 + seed % 4
        combine = "mean" if num_workers != 3 and seed // 4 % 2 else "sum"  # thirds would be rounded
        run_spec = downpour(num_workers, 1 + seed % 3, 1 + seed // 3 % 4, combine)
        simulation = simulate(run_spec, seed, schedule(seed))
        if not ledger_holds(simulation):
            fail(simulation, "the ledger does not hold")
        cap = request_cap(simulation) + 15 * simulation.counts["TakeUpdate"]
        if requests(simulation) > cap:
            fail(simulation, f"{requests(simulation)} requests, allowed are {cap:.0f}")


def test_many_workers():
    for seed in range(4):
        faults = Faults(crash_rate=0.005, lose_rate=0.1, double_rate=0.3, straggler_rate=0.2)
        assert ledger_holds(simulate(downpour(36), seed, faults)), f"seed {seed}"


@pytest.mark.parametrize(("num_workers", "combine"), [(1, "mean"), (2, "sum"), (2, "mean")])
def test_killing_one_invocation_at_every_single_effect_changes_nothing(num_workers, combine):
    crashes = 0
    for after in (False, True):
        effect = 0
        while True:
            effect += 1
            simulation = simulate(downpour(num_workers, combine=combine), 3, Faults(crash_at=effect, crash_after=after))
            assert ledger_holds(simulation), f"killed at effect {effect}, after: {after}"
            if simulation.num_effects < effect:
                break
            crashes += simulation.counts["crashes"]
    assert crashes > 100 * num_workers - 50


def test_a_lone_worker_writes_no_updates_and_is_never_stale():
    simulation = simulate(downpour(1, 2, 5, max_staleness=1))
    assert ledger_holds(simulation)
    created = [effect.key for _, effect in simulation.performed if isinstance(effect, Create)]
    assert not [key for key in created if "/updates/" in key]
    summaries = [json.loads(v.data) for k, v in simulation.store.items() if k.endswith("summary.json")]
    assert {one["max_staleness"] for one in summaries if one["num_updates"]} == {0}


def test_a_lone_worker_begins_again_where_an_earlier_one_died_before_it_showed_its_checkpoint():
    """That one had pushed after one step, as before a deadline; this one pushes after two, and must not skip one."""
    simulation = simulate(downpour(1, 2, 2))
    where = simulation.keys.checkpoint(0)
    first = updates.read(simulation.store[where].data, where, 1).weights
    change = np.arange(SIZE, dtype=np.float32) + 1
    made = simulation.keys.checkpoint(1)
    left = updates.fold(first, [Update(Label(0, 1, 0, 1, False, 1, 0.0, 0), change)], made, 1)
    simulation.store[made] = Stored(left.data, 1)
    assert ledger_holds(simulation)


def test_the_accuracy_is_that_of_the_final_checkpoint_scored_by_all():
    simulation = simulate(downpour(3))
    last = simulation.run(BOUND_S)
    assert last.accuracy == pytest.approx(1 / 3)
    assert len(last.finished) == 3


def test_updates_are_deleted_once_they_are_folded():
    simulation = simulate(downpour(3))
    simulation.run(BOUND_S)
    assert not [key for key in simulation.store if "/updates/" in key]


# ---- guards


def broken(seeds=60):
    """The first seed whose run did not end well with the exact sum, or None."""
    trouble = Faults(crash_rate=0.01, lose_rate=0.1, double_rate=0.6, straggler_rate=0.4, cold_start_s=5.0)
    for seed in range(seeds):
        simulation = simulate(downpour(3, lease_ttl_s=4.0, straggler_timeout_s=1.0), seed, trouble)
        try:
            if not ledger_holds(simulation):
                return seed
        except (ValueError, KeyError, pytest.fail.Exception):
            return seed
    return None


def test_with_all_guards_the_ledger_holds():
    assert broken() is None


def test_without_seq_a_second_attempt_pushes_what_the_first_has_pushed(monkeypatch):
    """Beginning again must look for what earlier attempts pushed: else their steps count twice."""
    plain = DownpourWorker._join

    def forgetful(self):
        yield from plain(self)
        self.step = 0

    monkeypatch.setattr(DownpourWorker, "_join", forgetful)
    assert broken() is not None


@pytest.mark.parametrize("wire", ["float32", "topk:34%"])
def test_an_update_is_divided_once_and_the_rest_is_kept(wire, monkeypatch):
    """Else it is divided again with every update that it does not fit into; or what a wire leaves is lost."""

    def holds():
        simulation = simulate(downpour(4, 1, 2, "mean", wire=wire))
        return ledger_holds(simulation)

    assert holds()
    plain = ToyLearner.take_update

    def scales_what_is_left(self, scale=1.0, whole=False):
        model = plain(self, scale, whole)
        self.weights = self.pushed + (self.weights - self.pushed) * np.float32(scale)
        return model

    monkeypatch.setattr(ToyLearner, "take_update", scales_what_is_left)
    assert holds() == (wire == "float32")
    monkeypatch.setattr(ToyLearner, "take_update", lambda self, scale=1.0, whole=False: plain(self, 1.0, whole))
    assert not holds()


def test_without_the_combine_lease_create_once_is_enough_and_without_both_updates_are_lost(monkeypatch):
    """The lease saves work; what makes an update count once is that a checkpoint is created once."""
    monkeypatch.setattr(Combiner, "combine", without_lease)
    assert broken(20) is None
    plain = Simulation.perform

    def overwriting(self, effect, invocation=None):
        if isinstance(effect, Create):
            self.store.pop(effect.key, None)
        return plain(self, effect, invocation)

    monkeypatch.setattr(Simulation, "perform", overwriting)
    assert broken() is not None


def test_without_going_by_the_ledger_of_what_stands_there_updates_are_lost(monkeypatch):
    """Two fold at the same time: the second must believe the checkpoint that is there, not the one it made."""
    plain = updates.ledger_of
    mine = {}

    def my_own(data, where, num_workers):
        return mine.setdefault(where, plain(data, where, num_workers))

    made = updates.fold

    def remembering(base, pending, key, num_workers):
        result = made(base, pending, key, num_workers)
        mine[key] = result.ledger
        return result

    monkeypatch.setattr(updates, "fold", remembering)
    monkeypatch.setattr(updates, "ledger_of", my_own)
    assert broken() is not None


def without_lease(self, holder, mine=()):
    standing = yield from head.read(self.spec)
    if standing is not None and standing[0].status == "running":
        return (yield from self._fold(*standing, mine))


def folds(seeds=20):
    return sum(count_creates(seed) for seed in range(seeds))


def count_creates(seed):
    simulation = simulate(downpour(8, 1, 1), seed)
    simulation.run(BOUND_S)
    return simulation.counts["GetMany"]


def test_without_the_combine_lease_everybody_folds_and_most_of_it_is_in_vain(monkeypatch):
    with_lease = folds()
    monkeypatch.setattr(Combiner, "combine", without_lease)
    assert folds() > 1.5 * with_lease


# ---- parts


def test_a_ledger_takes_updates_in_order_only():
    ledger = Ledger.empty(2).with_update(label(1, 1)).with_update(label(1, 2, last=True))
    assert ledger == Ledger((0, 2), (0, 20), (1,), (0, 0))
    with pytest.raises(ValueError, match="update 4 of worker 1, from step 30 on, after 2, which ended at step 20"):
        ledger.with_update(label(1, 4))


def test_folding_adds_every_update_and_keeps_the_books():
    start = updates.folded(Model(np.ones(SIZE, np.float32), SHAPES), Ledger.empty(2), Tally(), "before")
    pending = [
        updates.decode(updates.encode(Model(np.full(SIZE, value, np.float32), SHAPES), label(w, seq), "u"), "u", SIZE)
        for w, seq, value in ((0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0))
    ]
    after = updates.fold(start.weights, pending, "after", 2)
    found, tally = contribution.decode(after.data, "after")
    assert np.all(found.vector == 10.0)
    assert updates.ledger_of(found, "after", 2) == after.ledger == Ledger((1, 2), (10, 20), (), (0, 0))
    assert np.array_equal(found.vector, after.weights.vector)
    assert (tally.num_samples, tally.loss) == (15, 2.0)


def test_downpour_cannot_stop_at_an_accuracy_it_does_not_measure():
    with pytest.raises(UsageError, match="target accuracy"):
        downpour(2, target_accuracy=0.5, eval_every=0)


def label(worker, seq, last=False):
    return Label(worker, seq, base=0, step=10 * seq, last=last, num_samples=5, loss_sum=10.0, begin=10 * seq - 10)


def test_a_summary_is_there_before_the_head_shows_its_round():
    """Who watches the head reads the summaries of all rounds behind it, once."""
    written = []
    combiner, there = Combiner(downpour(1)), pushed_once()
    followed(combiner.combine("me"), there, written)
    assert written.index(combiner.keys.summary(0)) < written.index(combiner.keys.head)


def test_an_update_that_is_folded_while_its_worker_begins_again_is_not_made_again():
    """Between its look at the head and its look for the update, somebody folds and deletes the update."""
    run_spec, there = downpour(2), pushed_once()
    keys = Combiner(run_spec).keys

    def fold_first(effect):
        if isinstance(effect, Get) and effect.key == keys.update(0, 1) and effect.key in there:
            followed(Combiner(run_spec).combine("me"), there, [])
        return isinstance(effect, Join)

    joined = followed(DownpourWorker(run_spec, 0, 2, "again").program(), there, [], fold_first)
    assert (joined.step, joined.where, joined.pending) == (2, keys.checkpoint(1), ())


def pushed_once():
    """A store of one worker's run, with its first update pushed and not folded."""
    keys = Combiner(downpour(1)).keys
    first = contribution.encode(Model(np.zeros(SIZE, np.float32), SHAPES), Tally(), keys.checkpoint(0))
    pushed = updates.encode(
        Model(np.ones(SIZE, np.float32), SHAPES), Label(0, 1, 0, 2, False, 4, 1.0, 0), keys.update(0, 1)
    )
    return {keys.head: Head().to_json(keys.head), keys.checkpoint(0): first, keys.update(0, 1): pushed}


def test_who_holds_the_combine_lease_is_given_up_after_a_multiple_of_what_folding_took_us():
    """A second folding is only work; until somebody folds, everybody trains on from what is older and older."""
    combiner = Combiner(downpour(2, lease_ttl_s=60.0))
    keys = combiner.keys
    first = contribution.encode(Model(np.zeros(SIZE, np.float32), SHAPES), Tally(), keys.checkpoint(0))
    there = {keys.head: Head().to_json(keys.head), keys.checkpoint(0): first}
    there[keys.combine] = Lease(0, "stuck").to_json(keys.combine)
    waits = [combiner.watch.ttl_s]
    for took_s in (2.0, 0.1, 0.001, 9.0):
        combiner._took(took_s)
        waits.append(combiner.watch.ttl_s)
    assert waits == [5.0, 5.0, 1.0, 0.3, 0.3]
    for now_s, is_given_up in ((10.0, False), (10.2, False), (10.4, True)):
        written = []
        followed(combiner.combine("me"), there, written, now_s=now_s)
        assert (keys.combine in written) == is_given_up


# ---- a name that is taken


def taken(monkeypatch, is_still_ours):
    """A run of two workers, in which another invocation of worker 0 pushes its first update just before it, after one
    step where this one takes two; and may have taken the lease."""
    simulation = simulate(downpour(2, 2, 3), 1)
    keys, plain = simulation.keys, simulation.perform

    def perform(effect, invocation=None):
        first = isinstance(effect, Create) and effect.key == keys.update(0, 1) and not simulation.counts["taken"]
        if first:
            simulation.counts["taken"] += 1
            change = Model(np.arange(SIZE, dtype=np.float32) + 1, SHAPES)
            other = updates.encode(change, Label(0, 1, 0, 1, False, 1, 0.0, 0), effect.key)
            plain(Create(effect.key, other), invocation)
            if not is_still_ours:
                found = simulation.store[keys.lease(0)]
                held = replace(Lease.from_json(found.data, keys.lease(0)), holder="another", beat=99)
                plain(Swap(keys.lease(0), held.to_json(keys.lease(0)), found), invocation)
        return plain(effect, invocation)

    monkeypatch.setattr(simulation, "perform", perform)
    assert ledger_holds(simulation)
    assert simulation.counts["taken"] == 1
    effects = simulation.performed
    pushes = [n for n, (_, e) in enumerate(effects) if isinstance(e, Create) and e.key == keys.update(0, 1)]
    beaten = effects[pushes[1]][0]  # the second was in vain
    after = (e for i, e in effects[pushes[1] + 1 :] if i is beaten and isinstance(e, (Join, Train, Create)))
    return simulation, next(after, None)


def test_a_worker_whose_next_name_is_taken_goes_by_what_stands_there(monkeypatch):
    simulation, goes_on = taken(monkeypatch, is_still_ours=True)
    assert isinstance(goes_on, Join)
    assert (goes_on.step, len(goes_on.pending)) == (1, 1)
    assert simulation.counts["invocations"] == 2


def test_a_worker_whose_next_name_is_taken_by_the_holder_of_its_lease_leaves(monkeypatch):
    simulation, goes_on = taken(monkeypatch, is_still_ours=False)
    assert goes_on is None
    assert simulation.counts["another invocation has taken over"] == 1


# ---- what is no number


@pytest.mark.parametrize("make", [lambda: downpour(2, 1, 1), lambda: spec(2, 3)])
def test_a_weight_that_is_no_number_is_never_written(make, monkeypatch):
    """Its loss may still be one; the run ends as failed, and names the worker."""

    def broken(self, seconds, until_step=None, plain=ToyLearner.train):
        progress = plain(self, seconds, until_step)
        if self.worker == 1 and (self.step == 3 or self.round == 1):
            self.weights[2] = np.nan
        return progress

    monkeypatch.setattr(ToyLearner, "train", broken)
    simulation = simulate(make(), 1)
    last = simulation.run(BOUND_S)
    assert last.status == FAILED
    assert "no longer a number (round " in last.reason
    assert "worker 1)" in last.reason
    written = [e for _, e in simulation.performed if isinstance(e, Create) and bytes(e.data[:1]) != b"{"]
    assert all(np.isfinite(weights.decode(e.data).vector).all() for e in written)
