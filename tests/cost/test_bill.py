"""Usage, and what it costs: sums that come out, whatever the numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite.cost import prices
from nnlite.cost.bill import PARTS, cost
from nnlite.protocol.records.usage import NOTHING, Usage, total

LIST = prices.tariff("us-east-1")
seconds = st.floats(0, 1000)
counts = st.integers(0, 10_000)


@st.composite
def usages(draw):
    init_s, compute_s, merge_s, idle_s = (draw(seconds) for _ in range(4))
    asked = {name: draw(counts) for name in ("num_reads", "num_writes", "num_deletes", "read_bytes", "written_bytes")}
    return Usage(  # it has no age: storage is paid by bytes and time, which do not add up
        init_s + compute_s + merge_s + idle_s, 0.0, init_s, compute_s, merge_s, draw(seconds), **asked,
        peak_mb=draw(seconds),
    )  # fmt: skip


@settings(max_examples=50)
@given(usages(), usages(), st.integers(128, 10240))
def test_parts_add_up_and_so_do_runs(one, other, memory_mb):
    both = cost(one + other, memory_mb, LIST)
    apart = [cost(u, memory_mb, LIST) for u in (one, other)]
    assert both.total_gb_s == pytest.approx((one.seconds + other.seconds) * memory_mb / 1024)
    assert both.total_usd == pytest.approx(sum(c.total_usd for c in apart), abs=1e-12)
    for part in PARTS:
        assert both.usd[part] == pytest.approx(sum(c.usd[part] for c in apart), abs=1e-12)
    by_hand = both.total_gb_s * LIST.gb_s_usd + 2 * LIST.invocation_usd
    by_hand += (one.num_reads + other.num_reads) * LIST.read_usd + (one.num_writes + other.num_writes) * LIST.write_usd
    assert both.total_usd == pytest.approx(by_hand)


@given(usages())
def test_every_billed_second_is_in_one_part(used):
    assert used.init_s + used.compute_s + used.merge_s + used.waiting_s == pytest.approx(used.seconds)


def test_each_part_is_where_it_belongs():
    gb_s = {"compute": 2.0, "waiting": 4.0, "merging": 3.0, "start-up": 1.0}
    used = Usage(10.0, init_s=1.0, compute_s=2.0, merge_s=3.0)
    assert cost(used, 1024, LIST).gb_s == gb_s
    stored = cost(Usage(written_bytes=10**9, age_s=30 * 86_400), 1024, LIST)
    assert stored.usd["storage"] == pytest.approx(LIST.gb_month_usd)
    assert sum(stored.usd.values()) == pytest.approx(LIST.gb_month_usd + LIST.invocation_usd)


def test_without_a_tariff_nothing_is_paid_and_gb_seconds_stay():
    free = cost(Usage(10.0, num_reads=5), 512, None)
    assert (free.total_usd, free.total_gb_s, free.date) == (0.0, 5.0, None)
    assert "$0" in str(free)


def test_what_is_shown_has_gb_seconds_dollars_and_the_date():
    shown = str(cost(Usage(10.0, compute_s=9.0), 1024, LIST))
    assert "10.00 GB-seconds at 1,024 MB" in shown
    assert f"$0.000167 at list prices of {LIST.date}" in shown
    assert "compute 90 %, waiting 10 %" in shown


def test_a_total_of_none_is_nothing_and_neither_peaks_nor_ages_are_added():
    assert total([]) == NOTHING
    found = total([Usage(1.0, age_s=3.0, peak_mb=5.0), Usage(2.0, age_s=2.0, peak_mb=9.0)])
    assert found == Usage(3.0, age_s=3.0, num_invocations=2, peak_mb=9.0)
    assert Usage(age_s=3.0) + Usage(age_s=2.0) == Usage(age_s=5.0, num_invocations=2)  # one after the other
