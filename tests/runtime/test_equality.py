"""What must not matter to the outcome: the number of processes, the shape of the tree, who computes what."""

from dataclasses import replace

import numpy as np
import pytest

from nnlite import nn
from nnlite.protocol.records.keys import Keys
from nnlite.store.base import buffers
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from tests.runtime import small


def test_four_workers_that_average_every_step_are_one_worker_with_a_batch_four_times_larger():
    """Plain SGD: the mean of w - rate * g_i is w - rate * the mean of the g_i, and that is the large batch's."""
    rows = small.dataset(96)
    common = {"num_rounds": 12, "optimizer": nn.SGD(0.2), "steps_per_round": 1}
    four = small.spec(rows, 4, batch_size=24, **common)
    one = small.spec(rows, 1, batch_size=96, **common)
    many, single = MemoryStore(), MemoryStore()
    small.train(many, four, rows)
    small.train(single, one, rows)
    averaged, expected = small.vector(many, four, 12), small.vector(single, one, 12)
    moved = np.linalg.norm(expected - small.vector(single, one, 11))
    assert moved > 1e-3 * np.linalg.norm(expected)  # else it would prove nothing
    assert np.linalg.norm(averaged - expected) <= 1e-5 * np.linalg.norm(expected)


def test_unequal_shards_weigh_by_their_samples():
    """37 rows among 4 workers: 10, 9, 9, 9. The weighted mean is the large batch's step all the same."""
    rows = small.dataset(37)
    common = {"num_rounds": 1, "optimizer": nn.SGD(0.5), "steps_per_round": 1}
    four, one = small.spec(rows, 4, batch_size=10, **common), small.spec(rows, 1, batch_size=37, **common)
    many, single = MemoryStore(), MemoryStore()
    small.train(many, four, rows)
    small.train(single, one, rows)
    np.testing.assert_allclose(small.vector(many, four, 1), small.vector(single, one, 1), rtol=1e-5, atol=1e-7)


NETWORKS = {
    "sgd": (small.mlp(), nn.SGD(0.1)),
    "momentum": (small.mlp(), nn.Momentum(0.05)),
    "adam": (small.mlp(), nn.Adam(0.01)),
    "dropout": (small.mlp(nn.Dropout(0.3)), nn.Nesterov(0.05)),
    "images": (
        nn.Sequential([nn.Conv2D(3, 3), nn.ReLU(), nn.MaxPool2D(2, 2), nn.Flatten(), nn.Dense(4)], small.SHAPE),
        nn.RMSProp(0.01),
    ),
    "residual": (
        nn.Sequential(
            [
                nn.Conv2D(4, 3),
                nn.Residual([nn.Conv2D(4, 3, groups=4), nn.GroupNorm(2), nn.SiLU(), nn.Dropout(0.2)], nn.Conv2D(4, 1)),
                nn.GlobalAveragePool2D(),
                nn.Flatten(),
                nn.LayerNorm(),
                nn.Dense(4),
            ],
            small.SHAPE,
            nn.SoftmaxCrossEntropy(0.1),
        ),
        nn.LAMB(nn.Warmup(nn.Cosine(0.02, 9), 2), weight_decay=0.1, clip_norm=1.0),
    ),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_bytes_with_any_number_of_processes(kind, tmp_path):
    network, optimizer = NETWORKS[kind]
    rows = small.dataset(90)
    of = small.spec(rows, 4, 3, network=network, optimizer=optimizer)
    found = {}
    for num_processes in (0, 1, 4):
        store = FileStore(tmp_path / str(num_processes))
        found[num_processes] = small.final(store, of, small.train(store, of, rows, num_processes))
    assert found[0] == found[1] == found[4]


@pytest.mark.parametrize("how", [{"slow_momentum": 0.3}, {"slow_momentum": 0.3, "average_last": 3}, {"ema": 0.9}])
def test_also_where_a_round_ends_with_more_than_the_mean(how, tmp_path):
    rows = small.dataset(90)
    of, plain = small.spec(rows, 4, 5, **how), small.spec(rows, 4, 5)
    found = {}
    for num_processes in (0, 1, 4):
        store = FileStore(tmp_path / str(num_processes))
        found[num_processes] = small.final(store, of, small.train(store, of, rows, num_processes))
    other = MemoryStore()
    assert found[0] == found[1] == found[4] != small.final(other, plain, small.train(other, plain, rows))
    resumed = FileStore(tmp_path / "resumed")
    small.train(resumed, replace(of, max_s=1e-9), rows)
    resumed.delete(Keys(of.run).spec)
    resumed.put(Keys(of.run).spec, of.to_json())
    assert small.final(resumed, of, small.resume(resumed, of)) == found[0]


def test_another_seed_gives_other_bytes():
    rows, found = small.dataset(), set()
    for seed in (1, 2, 1):
        store, of = MemoryStore(), small.spec(rows, 2, seed=seed)
        found.add(small.final(store, of, small.train(store, of, rows)))
    assert len(found) == 2


@pytest.mark.parametrize("widths", [(1, 2, 6), (1, 6, 6), (1, 3, 6), (1, 2, 4, 6), (1, 1, 6)])
def test_any_tree_gives_the_same_weights_but_for_rounding(widths):
    rows = small.dataset()
    flat, tree = MemoryStore(), MemoryStore()
    small.train(flat, small.spec(rows, 6, 4), rows)
    small.train(tree, of := small.spec(rows, 6, 4, widths=widths), rows)
    expected = small.vector(flat, of, 4)
    assert np.linalg.norm(small.vector(tree, of, 4) - expected) <= 1e-6 * np.linalg.norm(expected)


def test_dropout_draws_other_masks_in_other_workers():
    """With one row each, the same row, and no learning of their own order, only masks can differ."""
    rows = small.dataset(8)
    rows.train.x[:], rows.train.y[:] = rows.train.x[0], rows.train.y[0]
    store = MemoryStore()
    of = small.spec(rows, 2, 1, network=small.mlp(nn.Dropout(0.5)), optimizer=nn.SGD(0.5), steps_per_round=1)
    kept = {}
    original = store.put

    def put(key, value, **condition):
        kept.setdefault(key, b"".join(buffers(value)))
        original(key, value, **condition)

    store.put = put
    small.train(store, of, rows)
    first, second = (data for key, data in sorted(kept.items()) if "/rounds/000000/1/" in key)
    assert first != second
