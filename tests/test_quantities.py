"""Dollars, durations and sizes, as people read them."""

import pytest

from nnlite.quantities import dollars, duration, size


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0, "$0.00"), (12.345, "$12.35"), (1234.5, "$1,234.50"), (0.12345, "$0.123"), (0.0123, "$0.0123"),
        (0.00012345, "$0.000123"), (0.00000423, "$0.00000423"), (1e-12, "$0.0000000000"),
    ],
)  # fmt: skip
def test_dollars_have_as_many_digits_as_say_something(usd, shown):
    assert dollars(usd) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"), (0.031, "31 ms"), (12.34, "12.3 s"), (99.9, "99.9 s"), (119.7, "2 min 0 s"), (245, "4 min 5 s"),
        (5399.9, "1 h 30 min"), (7199.9, "2 h 0 min"), (86400, "24 h 0 min"),
    ],
)  # fmt: skip
def test_durations_never_have_sixty_of_anything(seconds, shown):
    assert duration(seconds) == shown


def test_sizes():
    assert [size(of) for of in (0, 999, 1234, 1_234_567, 2e9)] == ["0 bytes", "999 bytes", "1.23 kB", "1.23 MB", "2 GB"]
