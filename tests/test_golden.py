"""The weights of small real runs stay what they were, to the last bit, whatever is moved or rewritten around them."""

import json

import pytest

from tests import golden


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    return golden.results()


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, str]]:
    """By the fingerprint of arithmetic."""
    table: dict[str, dict[str, str]] = json.loads(golden.TABLE.read_text())
    return table


@pytest.fixture(scope="module")
def expected(found: dict[str, str], recorded: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is recorded for arithmetic as here, or else what the same runs come to a second time."""
    return recorded.get(found["fingerprint"]) or golden.results()


def test_the_arithmetic_of_this_machine_is_a_known_one(found, recorded):
    if found["fingerprint"] not in recorded:
        pytest.skip(
            f"no weights are recorded for arithmetic {found['fingerprint'][:12]}: two runs are compared instead; "
            "`python -m tests.golden record`, on a version known to be good"
        )
    assert recorded[found["fingerprint"]].keys() == found.keys() - {"fingerprint"}


@pytest.mark.parametrize("name", [*golden.RUNS, "best trial of a search"])
def test_the_weights_of_a_run_are_what_they_were(name, found, expected):
    assert found[name] == expected[name], f"{name}: other weights than before; see tests/golden.py"


def test_each_run_comes_to_something_else(found):
    """Else an option in the table would do nothing, and prove nothing."""
    assert len(set(found.values())) == len(golden.RUNS) + 2


def test_all_that_is_recorded_is_of_these_runs(recorded):
    for fingerprint, weights in recorded.items():
        assert weights.keys() == {*golden.RUNS, "best trial of a search"}, fingerprint
