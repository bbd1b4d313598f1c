"""The head of a run, read against its specification: whoever reads it looks for every round before."""

from dataclasses import replace

import pytest

from nnlite.errors import StoreError
from nnlite.protocol.effects import Create, Swap
from nnlite.protocol.records.head import DONE, Head
from nnlite.protocol.records.keys import LIFE, MOST_VERSION, Keys
from nnlite.protocol.roles import durable
from nnlite.protocol.roles.watcher import Watcher
from nnlite.runs import lifecycle
from nnlite.runtime.workers import read_spec
from nnlite.store.memory import MemoryStore
from nnlite.telemetry import reading
from tests.protocol.toy import simulate, spec

AVERAGING = spec(2, 3)
DOWNPOUR = spec(2, 3, protocol="downpour")  # 500 steps of each of two workers a round
KEY = Keys("toy").head


def played(simulation, program, most=20):
    """Perform the effects of a program that is to end within so many."""
    effect = next(program)
    for _ in range(most):
        effect = program.send(simulation.perform(effect))
    raise AssertionError(f"it asks and asks: {effect}")


@pytest.mark.parametrize(
    ("of", "life", "last"),
    [
        (AVERAGING, 0, 3),
        (AVERAGING, 2, 3),
        (DOWNPOUR, 0, 2 * (3 * 1000 + 2) + 1000),
        (DOWNPOUR, 2, 2 * LIFE + 2 * (3 * 1000 + 2) + 1000),
        (replace(AVERAGING, protocol="search"), 0, MOST_VERSION),
    ],
)
def test_a_head_is_as_far_as_its_run_can_go(of, life, last):
    head = Head(last, life=life)
    assert Head.of_run(of, head.to_json(KEY)) == head
    if last < MOST_VERSION:
        with pytest.raises(StoreError) as caught:
            Head.of_run(of, replace(head, round=last + 1).to_json(KEY))
        expected = f"{KEY} is damaged: it shows round {last + 1:,}, and the run can have {last:,} at most"
        assert str(caught.value) == expected


@pytest.mark.parametrize("status", ["running", DONE])
@pytest.mark.parametrize("of", [AVERAGING, DOWNPOUR])
def test_a_watcher_refuses_an_absurd_round_before_it_asks_for_any(of, status):
    simulation = simulate(of)
    simulation.perform(Swap(KEY, Head(MOST_VERSION, status).to_json(KEY), simulation.store.get(KEY)))
    with pytest.raises(StoreError, match="is damaged: it shows round 999,999,999, and the run can have"):
        played(simulation, Watcher(of).program({}))


@pytest.mark.parametrize("of", [AVERAGING, DOWNPOUR])
@pytest.mark.parametrize("read", [reading.read, lambda store, run: lifecycle.standing(store, read_spec(store, run))])
def test_so_does_whoever_reads_the_run(of, read):
    store = MemoryStore()
    store.put(Keys(of.run).spec, of.to_json())
    store.put(KEY, Head(MOST_VERSION).to_json(KEY))
    with pytest.raises(StoreError, match=f"{KEY} is damaged: it shows round 999,999,999"):
        read(store, of.run)


def test_a_damaged_copy_is_not_put_back():
    of = spec(2, 3, checkpoint_store="file:///copies", checkpoint_every=1)
    simulation = simulate(of)
    simulation.store.clear()
    simulation.durable.clear()
    simulation.perform(Create(KEY, Head(77).to_json(KEY), durable=True))
    with pytest.raises(StoreError, match="is damaged: it shows round 77, and the run can have 3 at most"):
        played(simulation, durable.restore(of))
