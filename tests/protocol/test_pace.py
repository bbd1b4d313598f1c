"""When to look again: soon after the round has ended, and seldom before."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite.protocol.roles.waiter import LookPace
from tests.protocol.toy import spec


def looks(pace, began_s, contributed_s, over_s):
    """Wait in a round that others end at `over_s`. -> how often it looked in vain, and when it saw the end"""
    now_s = contributed_s
    for in_vain, pause_s in enumerate(pace.pauses(now_s)):
        now_s += pause_s
        if now_s >= over_s:
            pace.ended(now_s)
            return in_vain, now_s
    raise AssertionError("pauses never end")


def steady(pace, round_s, own_s, num_rounds):
    """Rounds that all take as long. -> looks in vain, and delay, of each"""
    now_s, found = 0.0, []
    pace.began_s = 0.0
    for _ in range(num_rounds):
        in_vain, seen_s = looks(pace, now_s, now_s + own_s, now_s + round_s)
        found.append((in_vain, seen_s - now_s - round_s))
        now_s = seen_s
    return found


@given(round_s=st.floats(0.1, 8.0), share=st.floats(0.05, 0.95))
def test_rounds_of_one_length_are_seen_to_end_with_few_looks_and_little_delay(round_s, share):
    found = steady(LookPace(spec(2, 1, poll_s=0.01, max_poll_s=0.05)), round_s, share * round_s, 6)
    for in_vain, late_s in found[2:]:
        assert in_vain <= 5
        assert 0 <= late_s <= 0.32 * round_s + 0.03


def test_one_long_round_makes_nobody_sleep_through_the_next():
    pace = LookPace(spec(2, 1, poll_s=0.01, max_poll_s=0.05))
    now_s = sum(1.0 + late_s for _, late_s in steady(pace, 1.0, 0.5, 4))
    _, now_s = looks(pace, now_s, now_s + 0.5, now_s + 5.0)
    _, seen_s = looks(pace, now_s, now_s + 0.5, now_s + 1.0)
    assert seen_s - now_s < 1.3


@pytest.mark.parametrize("hand_over_s", [0.2, 5.0])
def test_nobody_sleeps_past_the_time_to_hand_over(hand_over_s):
    pace = LookPace(spec(2, 1, poll_s=0.01, max_poll_s=0.05, hand_over_s=hand_over_s))
    steady(pace, 100.0, 1.0, 3)
    pauses = list(itertools.islice(pace.pauses(pace.began_s + 1.0), 30))
    assert max(pauses) == pytest.approx(min(2.0, hand_over_s / 2))
    assert min(pauses) >= 0.01
