"""What `tools.train` says of cost: before the run, and after it."""

import json
from pathlib import Path

import pytest

from nnlite.cost import prices
from nnlite.errors import NnliteError
from nnlite.estimating import books, calibrate

LIST = prices.tariff("us-east-1")
PARTS = {"compute", "waiting", "merging", "start-up", "requests", "storage"}


def quick(*more):
    return ("--case", "c", "--dataset", "fashion-sample", "--rounds", 2, "--workers", 2, "--out", "w.st", *more)


def test_every_summary_has_gb_seconds_dollars_and_the_date_of_the_prices(train):
    done = train(*quick())
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("cost ")]
    for words in (" GB-seconds at ", "$0 here, $0.0", f"at AWS Lambda's list prices of {LIST.date}", "compute "):
        assert words in line
    (before,) = [line for line in done.err.splitlines() if line.startswith("estimate ")]
    assert f"list prices of {LIST.date}" in before


def test_as_json_all_parts_and_they_add_up(train):
    done = train(*quick("--json", "--memory-mb", 1024, "--region", "eu-west-1", "--arch", "arm64"))
    cost = json.loads(done.out.splitlines()[-1])["cost"]
    assert set(cost["usd_by_part"]) == PARTS
    assert set(cost["gb_s_by_part"]) == PARTS - {"requests", "storage"}
    assert cost["memory_mb"] == 1024
    assert cost["prices_date"] == LIST.date
    assert cost["gb_s"] == pytest.approx(sum(cost["gb_s_by_part"].values()), abs=1e-5)
    assert cost["usd"] == cost["list_usd"] == pytest.approx(sum(cost["usd_by_part"].values()), abs=1e-8)
    per_gb_s = prices.tariff("eu-west-1", "arm64").gb_s_usd
    invocations_usd = 2 * LIST.invocation_usd
    assert cost["usd"] - cost["usd_by_part"]["storage"] - invocations_usd == pytest.approx(
        cost["gb_s"] * per_gb_s, 1e-2
    )


def test_where_no_memory_is_asked_for_nothing_is_paid_and_the_peak_counts(train):
    cost = json.loads(train(*quick("--json", "--processes", 1)).out.splitlines()[-1])["cost"]
    assert cost["usd"] == 0 < cost["list_usd"]
    assert 20 < cost["memory_mb"] < 2000


def test_a_run_in_this_process_has_an_account_too(train):
    cost = json.loads(train(*quick("--json", "--processes", 0)).out.splitlines()[-1])["cost"]
    assert cost["gb_s"] > 0


def test_prices_of_one_s_own(train):
    mine = json.loads(prices.BUNDLED.read_text())
    mine["date"] = "2031-05-06"
    Path("mine.json").write_text(json.dumps(mine))
    done = train(*quick("--prices", "mine.json"))
    assert "list prices of 2031-05-06" in done.out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--region", "mars-1"), "no prices for region 'mars-1'"),
        (("--prices", "gone.json"), "--prices gone.json: cannot be read"),
        (("--memory-mb", 64), "--memory-mb 64: wanted 128 to 10240"),
        (("--memory-mb", 20_000), "wanted 128 to 10240"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(argv, words, train):
    done = train(*quick(*argv))
    assert (done.code, done.out) == (2, "")
    assert words in done.err.splitlines()[-1]
    assert not Path(".nnlite").exists()


def test_a_dry_run_has_an_estimate_and_starts_nothing(train, monkeypatch):
    monkeypatch.setattr(calibrate, "calibrated", lambda *_: pytest.fail("started processes"))
    assert train(*quick("--dry-run", "--calibrate")).code == 2
    done = train(*quick("--dry-run"))
    assert done.code == 0, done.err
    assert "\nestimate   about " in f"\n{done.out}"


def test_a_long_run_is_calibrated_by_itself_and_a_failing_calibration_does_not_stop_it(train, monkeypatch):
    asked = []

    def fails(*_):
        asked.append(1)
        raise NnliteError("too busy")

    monkeypatch.setattr(books, "WORTH_S", 0.0)
    monkeypatch.setattr(calibrate, "calibrated", fails)
    done = train(*quick())
    assert (done.code, asked) == (0, [1])
    assert "not calibrated: too busy" in done.err


def test_a_user_s_own_layers_do_not_run_in_the_command_itself(train, case_file, monkeypatch):
    monkeypatch.setattr(calibrate, "rough", lambda *_: pytest.fail("ran here"))
    done = train("--case", case_file(), "--rounds", 1, "--out", "w.st")
    assert done.code == 0, done.err
    assert "estimate" not in done.err
    assert "cost  " in done.out
