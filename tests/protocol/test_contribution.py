"""Merging over any tree is the flat weighted mean, and the same parts make the same bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite import weights
from nnlite.errors import StructureError, WeightsError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally, weighted_mean
from nnlite.protocol.effects import Model
from nnlite.protocol.records.tree import Tree
from nnlite.records import identity

SHAPES = {"a": (3, 4), "b": (5,)}


def part(rng, num_samples, key="part"):
    vector = rng.standard_normal(17).astype(np.float32)
    return contribution.encode(Model(vector, SHAPES), Tally(num_samples, float(rng.random()), 2, 1, 0.5), key)


def merge_over(tree, parts, level=0, node=0):
    """The node's bytes, for a key that says where it is."""
    if level == tree.leaf_level:
        return parts[node]
    children = tree.children(level, node)
    below = {f"{level + 1}/{child}": merge_over(tree, parts, level + 1, child) for child in children}
    return contribution.merge(below, f"{level}/{node}")


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 1000), min_size=1, max_size=30),
    st.lists(st.integers(1, 30), max_size=3),
)
def test_merging_over_any_tree_is_the_flat_weighted_mean(seed, counts, widths):
    rng = np.random.default_rng(seed)
    tree = Tree((1, *sorted(w for w in widths if w <= len(counts)), len(counts)))
    keys = [f"{tree.leaf_level}/{worker}" for worker in range(len(counts))]
    parts = [part(rng, n, key) for n, key in zip(counts, keys, strict=True)]
    merged, tally = contribution.decode(merge_over(tree, parts), "0/0")
    vectors = np.array([contribution.decode(*one)[0].vector for one in zip(parts, keys, strict=True)], np.float64)
    flat = np.average(vectors, axis=0, weights=counts)
    np.testing.assert_allclose(merged.vector, flat, rtol=1e-5, atol=1e-6)
    assert tally.num_samples == sum(counts)
    assert (tally.num_scored, tally.num_correct) == (2 * len(counts), len(counts))


def test_a_second_merge_makes_the_same_bytes():
    parts = {f"{i}": part(np.random.default_rng(i), i + 1, f"{i}") for i in range(5)}
    assert contribution.merge(parts, "node") == contribution.merge(parts, "node")


def test_samples_weigh_not_workers():
    """Ten samples at 1.0 and thirty at 5.0 are 4.0 on average, not 3.0."""
    low, high = (Model(np.full(17, value, np.float32), SHAPES) for value in (1.0, 5.0))
    parts = {"low": contribution.encode(low, Tally(10), "low"), "high": contribution.encode(high, Tally(30), "high")}
    merged, _ = contribution.decode(contribution.merge(parts, "merged"), "merged")
    assert np.all(merged.vector == 4.0)


def test_parts_that_trained_on_nothing_count_with_their_tally_alone():
    nothing, scored = Model(np.empty(0, np.float32), {}), Tally(0, 0.0, 7, 3, 1.0)
    idle = {key: contribution.encode(nothing, scored, key) for key in ("idle", "idle too")}
    trained = part(np.random.default_rng(0), 4)
    parts = {"idle": idle["idle"], "part": trained, "idle too": idle["idle too"]}
    merged, tally = contribution.decode(contribution.merge(parts, "merged"), "merged")
    np.testing.assert_array_equal(merged.vector, contribution.decode(trained, "part")[0].vector)
    assert (tally.num_samples, tally.num_scored, tally.num_correct) == (4, 16, 7)
    only_idle, tally = contribution.decode(contribution.merge(idle, "merged"), "merged")
    assert only_idle.vector.size == 0
    assert tally.num_correct == 6


def test_the_mean_of_a_long_vector_does_not_depend_on_its_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = [rng.standard_normal(1000).astype(np.float32) for _ in range(4)]
    whole = weighted_mean(vectors, [1, 2, 3, 4])
    monkeypatch.setattr(contribution, "MERGE_CHUNK", 7)
    np.testing.assert_array_equal(weighted_mean(vectors, [1, 2, 3, 4]), whole)


def test_a_mean_of_equal_weights_stays_where_it_is():
    vector = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    np.testing.assert_allclose(weighted_mean([vector] * 7, [3] * 7), vector, rtol=1e-6)


def test_parts_of_different_networks_are_refused():
    other = contribution.encode(Model(np.zeros(17, np.float32), {"a": (17,)}), Tally(1), "other")
    with pytest.raises(StructureError, match="different runs"):
        contribution.merge({"part": part(np.random.default_rng(0), 1), "other": other}, "runs/r/rounds/0/0/0")


def test_damaged_parts_and_foreign_files_are_refused():
    good = bytearray(part(np.random.default_rng(0), 1))
    good[-1] ^= 1
    with pytest.raises(WeightsError, match="part is not a sound"):
        contribution.merge({"part": bytes(good)}, "runs/r/x")
    with pytest.raises(WeightsError, match="is not a contribution to a round"):
        contribution.decode(weights.encode(np.zeros(17, np.float32), SHAPES, {identity.KEY: "foreign"}), "foreign")
