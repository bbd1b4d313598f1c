"""Whatever is lost, doubled, late or dead: a search has the same results, and the same winner, as without faults."""

from functools import cache

import pytest

from nnlite.errors import RunError, StoreError
from nnlite.protocol.effects import Train
from nnlite.protocol.records.head import DONE, STOPPED
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import Rates
from nnlite.protocol.search.asha import Ladder, ladder
from nnlite.protocol.search.result import DIVERGED, FAILED, OK, Result, leaderboard, winner
from nnlite.protocol.search.shared import IDLE
from nnlite.protocol.search.spec import SearchKeys, SearchSpec
from nnlite.simulation.simulator import Faults
from tests.protocol.toy_trials import DIVERGES, come_to_an_end, draw, results, search_of, simulate

SEEDS, CHUNKS = 200, 5
BOUND_S = 5_000.0
SHAPES = [(9, 3, "asha"), (7, 2, "random"), (12, 5, "asha"), (1, 1, "asha"), (4, 6, "asha"), (10, 1, "random")]
PATIENT = 2.0


def shape(number, **more):
    num_trials, parallel, sampler = SHAPES[number % len(SHAPES)]
    return search_of(num_trials, parallel, ladder(9) if sampler == "asha" else Ladder((4,)), max_deaths=1000, **more)


def after(simulation):
    """What a search comes to that must end well; a failure shows the seed and the story."""
    try:
        last, _, _ = come_to_an_end(simulation, BOUND_S)
    except RunError as error:
        fail(simulation, str(error))
    if last.status != DONE:
        fail(simulation, f"ended as {last}")
    return results(simulation)


def fail(simulation, why):
    story = "\n".join(simulation.story[-60:])
    pytest.fail(f"seed {simulation.seed}, {simulation.faults}: {why}\n{story}")


@cache
def expected(number):
    return after(simulate(shape(number)))


def schedule(seed):
    """Every seed its own mix of troubles."""
    return Faults(
        crash_rate=(0.0, 0.005, 0.02, 0.04)[seed % 4],
        lose_rate=(0.0, 0.1, 0.3)[seed % 3],
        double_rate=(0.0, 0.2, 0.9)[seed // 3 % 3],
        straggler_rate=(0.0, 0.2)[seed // 2 % 2],
        cold_start_s=(0.5, 15.0)[seed // 7 % 2],
        timeout_s=(float("inf"), 25.0)[seed // 5 % 2],
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_hundreds_of_schedules_give_the_same_results(chunk):
    """Crashes, lost and double invocations, stragglers, deadlines; workers that wait, and workers that leave."""
    for seed in range(chunk, SEEDS, CHUNKS):
        search = shape(seed, patience_s=PATIENT if seed % 5 < 2 else None)
        simulation = simulate(search, seed, schedule(seed))
        if after(simulation) != expected(seed % len(SHAPES)):
            fail(simulation, "other results than without faults")


def test_killing_a_worker_at_every_single_effect_changes_nothing():
    search = search_of(2, 2, Ladder((1, 2), 2), max_deaths=1000)
    wanted, crashes = after(simulate(search)), 0
    for after_it in (False, True):
        effect = 0
        while True:
            effect += 1
            simulation = simulate(search, 1, Faults(crash_at=effect, crash_after=after_it))
            assert after(simulation) == wanted, f"killed at effect {effect}, after: {after_it}"
            if simulation.num_effects < effect:
                break
            crashes += simulation.counts["crashes"]
    assert crashes > 100


@pytest.mark.parametrize("number", [0, 1])
def test_results_do_not_depend_on_how_many_work_at_a_time(number):
    """The same trials, promotions and winner from one worker as from six: only the outcome's speed differs."""
    num_trials, _, sampler = SHAPES[number]
    rungs = ladder(9) if sampler == "asha" else Ladder((4,))
    found = [after(simulate(search_of(num_trials, parallel, rungs), parallel)) for parallel in (1, 2, 6)]
    assert found[0] == found[1] == found[2]


def test_work_is_done_once_when_nothing_goes_wrong():
    simulation = simulate(shape(0))
    after(simulation)
    jobs = sum(key.endswith("/result.json") for key in simulation.store)
    assert simulation.counts["TakeUp"] == jobs
    assert simulation.counts["invocations"] == 3


def test_doubled_invocations_do_not_double_the_work():
    """A second invocation of a worker leaves at once: it finds another holder."""
    simulation = simulate(shape(0), 3, Faults(double_rate=1.0))
    after(simulation)
    assert simulation.counts["TakeUp"] == sum(key.endswith("/result.json") for key in simulation.store)


def test_a_trial_that_diverges_is_worst_and_no_crash():
    simulation = simulate(search_of(2 * DIVERGES, 2))
    last, chosen, ranking = come_to_an_end(simulation, BOUND_S)
    worst = [result for result in ranking if result.status == DIVERGED]
    assert last.status == DONE
    assert worst
    assert ranking[-len(worst) :] == worst
    assert chosen.trial not in {result.trial for result in worst}
    assert all("learning rate" in result.reason and result.accuracy is None for result in worst)
    assert simulation.counts["invocations"] == 2


def test_all_trials_diverge():
    simulation = simulate(search_of(1, 1))
    keys = SearchKeys("toy")
    trial = simulation.store[keys.trial(0)].data.replace(b'"trial": 0', b'"trial": 3')
    simulation._put(keys.trial(0), trial)
    assert simulation.run(BOUND_S).status == DONE
    with pytest.raises(RunError, match="no winner: all of its 1 trials diverged or failed"):
        draw(simulation)


def test_a_trial_that_always_kills_its_worker_fails_alone():
    """Its worker is replaced a few times; then the trial is worst, and the others go on."""

    search = search_of(5, 2, Ladder((4,)), max_deaths=3)
    simulation = simulate(search)
    plain = simulation._fate

    def fate(invocation, effect):
        learner = invocation.learner
        kills = isinstance(effect, Train) and learner.trial == 2 and learner.step == 5
        return "before" if kills else plain(invocation, effect)

    simulation._fate = fate
    last, chosen, ranking = come_to_an_end(simulation, BOUND_S)
    assert last.status == DONE
    assert [(r.trial, r.reason) for r in ranking if r.status == FAILED] == [(2, "its worker died 3 times")]
    assert chosen.trial != 2
    assert sum(r.status == OK for r in ranking) >= 3


def test_the_test_split_is_looked_at_once_for_the_winner_alone():
    simulation = simulate(shape(0))
    _, chosen, ranking = come_to_an_end(simulation, BOUND_S)
    assert simulation.counts["command TakeUp"] == simulation.counts["command on whole"] == 1
    assert draw(simulation) == (chosen, ranking)
    assert simulation.counts["command TakeUp"] == 1
    looked = [what[0].spec.data.name for _, _, what in simulation._story if type(what[0]).__name__ == "TakeUp"]
    assert looked
    assert set(looked) == {"toy"}, "a worker looked at the test split"


def test_models_are_kept_while_they_are_needed_and_then_the_winners_alone():
    simulation = simulate(shape(0))
    last = simulation.run(BOUND_S)
    assert last.status == DONE
    models = [key for key in simulation.store if key.endswith("/model")]
    assert len(models) <= 9, "more than one a trial"
    chosen, _ = draw(simulation)
    keys = SearchKeys("toy")
    assert [key for key in simulation.store if key.endswith("/model")] == [keys.model((chosen.trial, chosen.rung))]


def test_idle_workers_leave_and_are_called_again():
    """Where waiting costs money nobody waits for long; the results are the same."""
    search = search_of(9, 6, max_deaths=1000, patience_s=1.0)
    patient = simulate(search_of(9, 6, max_deaths=1000), 0, Faults(slice_s=5.0))
    hasty = simulate(search, 0, Faults(slice_s=5.0))
    assert after(patient) == after(hasty)
    assert hasty.counts["there is nothing to do at the moment"] > 0
    assert hasty.counts["invocations"] > 6
    assert hasty.seconds < 0.9 * patient.seconds
    for worker in range(6):
        key = hasty.keys.lease(worker)
        assert Lease.from_json(hasty.store[key].data, key).deaths == 0, "an idle worker was taken for a dead one"


def test_a_worker_hands_over_in_the_middle_of_a_trial():
    """Trials far longer than any invocation may last come to the same end, and no step is lost."""
    search = search_of(4, 2, Ladder((20,)), max_deaths=2)
    wanted = after(simulate(search))
    short = simulate(search, 0, Faults(slice_s=2.0, timeout_s=40.0), hand_over_s=5.0)
    assert after(short) == wanted
    assert short.counts["handed over in time"] > 6
    assert short.counts["timeouts"] == 0


def test_time_is_up():
    """The search ends with the best so far, which the command scores."""
    whole = simulate(shape(2), 0, Faults(slice_s=5.0))
    whole.run(BOUND_S)
    simulation = simulate(shape(2), 0, Faults(slice_s=5.0), max_s=whole.now_s / 3)
    last, chosen, ranking = come_to_an_end(simulation, BOUND_S)
    assert (last.status, last.result is not None) == (STOPPED, True)
    assert "is up" in last.reason
    assert simulation.now_s < whole.now_s / 3 + 10
    assert chosen.trial == ranking[0].trial
    assert len(ranking) > 0


def test_time_is_up_also_when_no_worker_ever_comes():
    simulation = simulate(shape(0), 0, Faults(lose_rate=1.0), max_s=10.0)
    assert simulation.run(BOUND_S).status == STOPPED
    assert simulation.now_s < 15


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_budget_is_never_exceeded_and_most_of_it_is_used(parallel):
    """Of what is kept back, two slices of training are a small part: nobody looks up in one."""
    rates = Rates(worker_second_usd=0.01)
    money = Faults(slice_s=0.5)
    free = simulate(search_of(24, parallel, ladder(9), patience_s=1.0), 0, money, rates=rates)
    free.run(BOUND_S)
    budget = 0.01 * free.seconds / 2
    for seed in range(5):
        search = search_of(24, parallel, ladder(9), patience_s=1.0)
        simulation = simulate(search, seed, money, rates=rates, budget_usd=budget, hand_over_s=5.0)
        last = simulation.run(BOUND_S)
        spent = 0.01 * simulation.seconds
        assert last.status == STOPPED, f"seed {seed}"
        assert "budget" in last.reason
        assert 0.35 * budget < spent <= budget, f"seed {seed}"


def test_who_leaves_for_want_of_work_has_written_what_it_spent():
    """The first trial is long, so one of two workers is idle; the other beats, or is called again."""
    money = Faults(slice_s=1.0)
    search = search_of(1, 2, Ladder((9,)), patience_s=3.0)
    simulation = simulate(search, 0, money, rates=Rates(worker_second_usd=0.01), beat_s=50.0, lease_ttl_s=200.0)
    simulation.run(BOUND_S)
    keys = [simulation.keys.lease(worker) for worker in range(2)]
    leases = [Lease.from_json(simulation.store[key].data, key) for key in keys]
    idle = [lease for lease in leases if lease.holder == IDLE]
    assert len(idle) == 1
    assert idle[0].is_final
    assert idle[0].own.seconds > 3.0
    assert idle[0].usd(Rates(worker_second_usd=0.01)) == pytest.approx(0.01 * idle[0].own.seconds)


def test_a_search_that_ended_before_its_first_trial():
    simulation = simulate(search_of(3, 1, Ladder((50,))), 0, Faults(slice_s=5.0), max_s=10.0)
    simulation.run(BOUND_S)
    with pytest.raises(RunError, match="ended before its first trial did"):
        draw(simulation)


# ---- what stands where


def test_the_leaderboard_goes_by_where_a_trial_stands():
    def result(trial, rung, accuracy, status=OK, loss=1.0):
        return Result(trial, rung, 1, status=status, accuracy=accuracy, loss=loss)

    found = [
        result(0, 0, 0.9),
        result(0, 1, 0.7),  # it got worse: its best rung does not count
        result(1, 0, 0.8),
        result(2, 0, 0.8, loss=0.5),  # a tie: by loss
        result(3, 0, 0.99),
        result(3, 1, None, DIVERGED),
        result(4, 0, 0.8, loss=0.5),  # a tie: by number
    ]
    board = leaderboard({r.key: r for r in found})
    assert [r.trial for r in board] == [2, 4, 1, 0, 3]
    assert winner({r.key: r for r in found}).trial == 2
    assert winner({(3, 1): found[5]}) is None


def test_records_are_read_as_they_were_written():
    search = search_of(space={"a": "1 to 2"}, about={"case": "c"}, patience_s=2.0)
    assert SearchSpec.from_json(search.to_json(), "there") == search
    with pytest.raises(StoreError, match="there is not a search's specification"):
        SearchSpec.from_json(b"[]", "there")
    result = Result(3, 1, 9, 10, OK, "", 0.5, 0.25, 0.125)
    assert Result.from_json(result.to_json("there"), "there") == result
