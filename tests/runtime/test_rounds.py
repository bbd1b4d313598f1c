"""What a run tells of its rounds: every sample, every accuracy, and when it ends."""

import numpy as np
import pytest

from nnlite.protocol.records.keys import Keys
from nnlite.runs import lifecycle
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from tests.runtime import small


@pytest.mark.parametrize(("num_train", "workers", "batch_size"), [(97, 4, 8), (50, 7, 8), (30, 1, 7), (12, 12, 1)])
def test_every_row_in_every_round(num_train, workers, batch_size):
    rows, story = small.dataset(num_train), small.Story()
    small.train(MemoryStore(), small.spec(rows, workers, batch_size=batch_size), rows, tell=story)
    assert [(v["round"], v["num_samples"]) for v in story.all("round")] == [*((r, num_train) for r in range(3)), (3, 0)]


def test_steps_per_round_count_steps_of_every_worker():
    rows, story = small.dataset(64), small.Story()
    of = small.spec(rows, 2, batch_size=8, steps_per_round=3)
    small.train(MemoryStore(), of, rows, tell=story)
    assert [v["num_samples"] for v in story.all("round")] == [48, 48, 48, 0]


@pytest.mark.parametrize("options", [{"num_workers": 5}, {"num_workers": 40, "batch_size": 100}])
def test_fewer_test_rows_than_workers_and_shards_of_one_row(options):
    rows, story = small.dataset(40, num_test=3), small.Story()
    store, of = MemoryStore(), small.spec(rows, **options)
    last = small.train(store, of, rows, tell=story)
    assert last.accuracy in {0, 1 / 3, 2 / 3, 1}
    assert accuracy_of(lifecycle.result(store, of, last), rows.test) == last.accuracy


def test_a_batch_larger_than_the_shard_is_the_whole_shard():
    rows = small.dataset(20)
    found = []
    for batch_size in (10, 1000):
        store, of = MemoryStore(), small.spec(rows, 2, batch_size=batch_size)
        found.append(small.final(store, of, small.train(store, of, rows)))
    assert found[0] == found[1]


def accuracy_of(model, split) -> float:
    return float(np.mean(model.predict(split.x).argmax(axis=1) == split.y))


@pytest.mark.parametrize("num_processes", [0, 2])
def test_the_accuracy_told_is_that_of_the_result(num_processes, tmp_path):
    rows = small.dataset(200, num_test=101)
    store, of = FileStore(tmp_path), small.spec(rows, 3, 5)
    last = small.train(store, of, rows, num_processes)
    assert last.accuracy == accuracy_of(lifecycle.result(store, of, last), rows.test)
    assert last.accuracy > 1.5 / small.CLASSES


def test_the_target_ends_a_run_with_the_weights_that_reached_it():
    rows, story = small.dataset(200, num_test=100), small.Story()
    store, of = MemoryStore(), small.spec(rows, 2, 60, target_accuracy=0.8)
    last = small.train(store, of, rows, tell=story)
    accuracies = [v["accuracy"] for v in story.all("round")]  # of the checkpoint each round began with
    assert accuracies[0] is None
    assert max(accuracies[1:-1]) < 0.8 <= accuracies[-1] == last.accuracy
    assert last.result == len(accuracies) - 1 < 60
    assert last.reason == f"reached test accuracy {last.accuracy:.4f}"
    assert accuracy_of(lifecycle.result(store, of, last), rows.test) == last.accuracy


@pytest.mark.parametrize(("every", "scored"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_eval_every(every, scored):
    rows, story = small.dataset(), small.Story()
    small.train(MemoryStore(), small.spec(rows, 2, 5, eval_every=every), rows, tell=story)
    assert [v["round"] for v in story.all("round") if v["accuracy"] is not None] == scored


def test_scoring_changes_nothing():
    rows, found = small.dataset(), []
    for every in (1, 3):
        store, of = MemoryStore(), small.spec(rows, 2, 5, eval_every=every)
        small.train(store, of, rows)
        found.append(small.vector(store, of, 5))
    assert np.array_equal(*found)


def test_no_rounds_score_the_initial_weights():
    rows = small.dataset()
    store, of = MemoryStore(), small.spec(rows, 2, 0)
    last = small.train(store, of, rows)
    assert last.result == 0
    assert last.accuracy == accuracy_of(lifecycle.result(store, of, last), rows.test)


@pytest.mark.parametrize("num_processes", [0, 2])
def test_collecting(num_processes, tmp_path):
    """A run keeps its last two checkpoints, every n-th, the summaries; and nothing of what was merged."""
    rows, store = small.dataset(), FileStore(tmp_path)
    of = small.spec(rows, 4, 9, widths=(1, 2, 4), checkpoint_every=4)
    small.train(store, of, rows, num_processes)
    keys = Keys(of.run)
    assert [v for v in range(12) if small.exists(store, keys.checkpoint(v))] == [0, 4, 8, 9]
    assert all(small.exists(store, keys.summary(round)) for round in range(10))
    left = sorted(p.name for p in (tmp_path / "runs/small/rounds").rglob("*") if p.is_file())
    assert left == ["summary.json"] * 10


def test_while_it_runs_no_more_than_three_checkpoints_are_there(tmp_path):
    rows, store, counts = small.dataset(), FileStore(tmp_path), []

    def tell(event, values):
        if event == "round":
            counts.append(len(list((tmp_path / "runs/small/ckpt").iterdir())))

    small.train(store, small.spec(rows, 3, 8), rows, tell=tell)
    assert max(counts) <= 3
