"""The merge tree covers every worker exactly once, whatever its widths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite.errors import UsageError
from nnlite.protocol.records.tree import WIDEST, Tree

widths = st.lists(st.integers(1, 60), min_size=0, max_size=4).map(lambda rest: (1, *sorted(rest)))


@given(widths)
def test_children_partition_every_level_in_order(tree_widths):
    tree = Tree(tree_widths)
    for level in range(tree.leaf_level):
        children = [c for node in range(tree_widths[level]) for c in tree.children(level, node)]
        assert children == list(range(tree_widths[level + 1]))


@given(widths)
def test_parent_is_the_inverse_of_children(tree_widths):
    tree = Tree(tree_widths)
    for level in range(tree.leaf_level):
        for node in range(tree_widths[level]):
            assert all(tree.parent(level + 1, child) == node for child in tree.children(level, node))


@given(widths)
def test_nodes_are_all_there(tree_widths):
    wanted = [(level, node) for level, width in enumerate(tree_widths) for node in range(width)]
    assert Tree(tree_widths).nodes() == wanted


@given(st.integers(1, 2000))
def test_the_tree_chosen_for_us_ends_in_the_worker_count_and_is_not_too_wide(num_workers):
    tree = Tree.for_workers(num_workers)
    assert tree.widths[-1] == num_workers
    fans = [len(tree.children(level, n)) for level in range(tree.leaf_level) for n in range(tree.widths[level])]
    assert max(fans, default=1) <= WIDEST


@pytest.mark.parametrize(
    ("given_widths", "workers", "words"),
    [
        ((1, 3), 4, ["1,3", "ends in 3", "4 workers"]),
        ((2, 4), 4, ["2,4", "begin with 1"]),
        ((), 4, ["begin with 1"]),
        ((1, 5, 4), 4, ["1,5,4", "narrower"]),
        ((1, 0), 0, ["1,0", "narrower"]),
    ],
)
def test_widths_that_cannot_be_are_refused(given_widths, workers, words):
    with pytest.raises(UsageError) as error:
        Tree.for_workers(workers, given_widths)
    assert all(word in str(error.value) for word in words)
