"""`tools.simulate`, and the benches that feed it: rows that say what they promise. No test asks how fast."""

import json

import pytest

from nnlite.commands import simulate
from nnlite.commands.program import run
from nnlite.estimating import supposed
from nnlite.simulation.profile import ASSUMED, ComputeProfile, WorldProfile
from tools.bench import coordination
from tools.bench import store as bench_store
from tools.bench.__main__ import build_parser, main

PROFILE = WorldProfile(ASSUMED["s3"], ComputeProfile(0.001, 0.00001, 1e-6, 1e9, 1e9), "a", 50, 1.0, name="s3")


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "profile.json"
    path.write_bytes(PROFILE.to_json())
    return str(path)


def simulated(capsys, *argv, code=0):
    assert run(simulate.main, simulate._parser(), ["--case", "a", *map(str, argv)]) == code
    return capsys.readouterr()


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_a_row_for_each_number_of_workers(capsys, profile, protocol):
    argv = ("--workers", "1,4,16", "--rounds", 2, "--protocol", protocol, "--profile", profile, "--json")
    found = rows(simulated(capsys, *argv).out)
    assert [row["workers"] for row in found] == [1, 4, 16]
    assert all(row["status"] == "done" and row["protocol"] == protocol and row["usd"] > 0 for row in found)
    for row in found:  # list prices of us-east-1
        requests_usd = row["reads"] * 0.4e-6 + row["writes"] * 5e-6 + row["invocations"] * 0.2e-6
        assert row["usd"] == pytest.approx(row["gb_s"] * 0.0000166667 + requests_usd)
    again = rows(simulated(capsys, *argv).out)
    assert [{**row, "simulated_in_s": 0} for row in found] == [{**row, "simulated_in_s": 0} for row in again]


def test_the_table_is_for_people_and_the_plot_a_file(capsys, profile, tmp_path):
    image = tmp_path / "scale.png"
    out = simulated(capsys, "--workers", "1,4", "--rounds", 2, "--profile", profile, "--plot", image).out
    assert out.splitlines()[0].split()[:2] == ["workers", "s/round"]
    assert len(out.splitlines()) == 3
    assert image.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "words"), [("gone/x.png", "cannot be written: there is no folder"), ("x.txt", "name a .png, .svg or .pdf")]
)
def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_simulated(
    capsys, profile, tmp_path, monkeypatch, name, words
):
    monkeypatch.setattr(simulate.Supposed, "forecast", lambda *_: pytest.fail("simulated"))
    argv = ("--workers", "1", "--profile", profile, "--plot", tmp_path / name)
    done = simulated(capsys, *argv, code=2)
    assert done.out == ""
    assert done.err.splitlines()[-1].startswith(f"error: --plot {tmp_path / name}")
    assert words in done.err.splitlines()[-1]


def test_faults_and_limits_are_in_what_comes_out(capsys, profile):
    argv = ("--workers", "8", "--rounds", 3, "--profile", profile, "--json")
    calm = rows(simulated(capsys, *argv).out)[0]
    troubled = rows(simulated(capsys, *argv, "--faults", "crash=0.01,straggler=0.3:5", "--seed", 1).out)[0]
    assert troubled["crashes"] > calm["crashes"] == 0
    assert troubled["total_s"] > calm["total_s"]


def test_a_machine_is_measured_where_no_profile_says_how_fast_it_is(capsys):
    done = simulated(capsys, "--workers", "2", "--rounds", 1, "--store", "file", "--json")
    assert "on this machine" in done.err
    assert rows(done.out)[0]["usd"] == 0


@pytest.mark.parametrize(("store", "invocations"), [("file", 1), ("s3", None)])
def test_only_functions_are_ended_by_their_platform(capsys, profile, store, invocations):
    """Longer than a function may last: on this machine a worker is one invocation from beginning to end."""
    argv = (
        "--workers",
        1,
        "--rounds",
        60,
        "--steps-per-round",
        20_000,
        "--profile",
        profile,
        "--store",
        store,
        "--json",
    )
    (row,) = rows(simulated(capsys, *argv).out)
    assert row["total_s"] > supposed.LIMIT_S
    assert (row["invocations"] == invocations) if invocations else (row["invocations"] > 1)


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--push-every", "5"], "--push-every is for --protocol downpour"),
        (["--wire", "float16"], "--wire is for --protocol downpour"),
        (["--memory-mb", "512", "--store", "file"], "--memory-mb is for functions"),
        (["--workers", "0"], "--workers"), (["--workers", "a,b"], "--workers"), (["--store", "tape"], "--store"),
        (["--profile", "nowhere.json"], "nowhere.json"), (["--faults", "fire=1"], "fire"),
        (["--rounds", "-1"], "rounds"),
        (["--tree", "1,2,3", "--workers", "4"], "merge tree"), (["--tree", "1,2", "--workers", "2,4"], "--tree"),
        (["--memory-mb", "0"], "--memory-mb"), (["--limit-s", "0"], "--limit-s"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(capsys, profile, argv, word):
    more = () if "--profile" in argv else ("--profile", profile)
    assert word in simulated(capsys, *more, *argv, code=2).err


def test_a_profile_of_another_case_is_refused(capsys, profile):
    assert run(simulate.main, simulate._parser(), ["--case", "c", "--profile", profile]) == 2
    assert "--case a" in capsys.readouterr().err


def test_calibrated_here_simulated_there(capsys, tmp_path):
    path = tmp_path / "here.json"
    argv = ["store", "--store", str(tmp_path / "store"), "--case", "a", "--calibrate", str(path)]
    assert run(main, build_parser(), argv) == 0
    found = WorldProfile.from_json(path.read_text(), "x")
    assert found.case == "a"
    assert found.store.get.bytes_per_s > 1e6
    assert not list((tmp_path / "store" / "bench").iterdir())
    capsys.readouterr()
    out = simulated(capsys, "--workers", "1,2", "--rounds", 2, "--store", "file", "--profile", path, "--json").out
    assert [row["status"] for row in rows(out)] == ["done", "done"]


def bench(capsys, *argv):
    assert run(main, build_parser(), [*map(str, argv), "--json"]) == 0
    return rows(capsys.readouterr().out)


def test_a_real_run_and_a_simulated_one_side_by_side(capsys):
    found = bench(capsys, "simulate", "--case", "a", "--workers", 1, "--rounds", 2, "--repetitions", 1)
    assert found[0]["workers"] == 1
    assert found[0]["ratio"] == pytest.approx(found[0]["simulated_s"] / found[0]["measured_s"], rel=0.05)


def test_coordination_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(coordination, "NUM_STEPS", 40)
    monkeypatch.setattr(bench_store, "COUNTED", (1, 3))
    monkeypatch.setattr(bench_store, "SIMULATED", (10,))
    argv = ("store", "--store", "memory://bench", "--what", "downpour,requests", "--rounds", 1)
    pace, *counted = bench(capsys, *argv)
    assert pace["kept"] == pytest.approx(pace["downpour_images_per_s"] / pace["alone_images_per_s"], rel=0.01)
    assert [(row["how"], row["workers"]) for row in counted] == [("real", 1), ("real", 3), ("simulated", 10)]
    assert all(1 < row["requests_per_worker_round"] < 50 for row in counted)
