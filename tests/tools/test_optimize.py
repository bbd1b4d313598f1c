"""`python -m tools.optimize`: real probes of a small case, what it prints, and what it refuses."""

import json
import math
from pathlib import Path

import pytest

from nnlite.commands import optimize as tool
from nnlite.commands.program import run
from nnlite.estimating import optimum, probe
from nnlite.estimating.probe import Probe, Probed
from nnlite.protocol.records.usage import Usage
from tests.tools.conftest import Done

FIELDS = {
    "event", "version", "objective", "memory_mb", "within", "certainty", "curve", "run", "default", "saving",
    "confirmed_s", "predicted_s", "not_confirmed", "probing",
}  # fmt: skip


@pytest.fixture
def optimize(capfd, monkeypatch):
    """optimize(*argv): the command, in this process, with short probes."""
    monkeypatch.setattr(optimum, "PROBE_ROUND_S", 0.1)

    def call(*argv: object) -> Done:
        capfd.readouterr()
        code = run(tool.main, tool._parser(), [str(a) for a in argv])
        return Done(code, *capfd.readouterr())

    return call


def quick(case_file):
    return "--case", case_file(layer="nn.ReLU()"), "--memory-mb", "512:3008", "--max-probes", 3


def test_it_probes_chooses_confirms_and_says_what_that_cost(optimize, case_file):
    done = optimize(*quick(case_file), "--workers", "1:2", "--json")
    assert done.code == 0, done.err
    *probes, choice = map(json.loads, done.out.splitlines())
    assert [probe["event"] for probe in probes] == ["probe"] * len(probes)
    assert [probe["memory_mb"] for probe in probes[:2]] == [512, 3008]
    assert all(probe["seconds"] > 0 for probe in probes)
    assert set(choice) == FIELDS
    assert 512 <= choice["memory_mb"] <= 3008
    assert probes[-1]["memory_mb"] == choice["memory_mb"]
    assert probes[-1]["workers"] == choice["run"]["workers"]
    assert choice["run"]["tree"][-1] == choice["run"]["workers"] <= 2
    assert choice["confirmed_s"] > 0
    assert choice["predicted_s"] > 0
    assert choice["probing"]["probes"] == len(probes) <= 4
    assert choice["probing"]["gb_s"] > 0
    assert choice["run"]["prices_date"] == choice["probing"]["prices_date"]
    assert [row["memory_mb"] for row in choice["curve"] if row["chosen"]] == [choice["memory_mb"]]
    saved = 1 - choice["run"]["usd"] / choice["default"]["usd"]
    assert choice["saving"] == pytest.approx(saved, abs=1e-3)
    assert not Path(".nnlite").exists()


def test_for_people_a_table_and_a_picture(optimize, case_file):
    pytest.importorskip("matplotlib")
    argv = ("--objective", "performance-per-cost", "--workers", "60:80", "--plot", "curve.png")
    done = optimize(*quick(case_file), *argv)
    assert done.code == 0, done.err
    for word in ("<- chosen", "curve  ", "memory ", "saving ", "default ", "probing ", "list prices of 2"):
        assert word in done.out
    assert "confirmed  no: " in done.out  # 60 workers are more cores than there are
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_dry_run_starts_nothing(optimize, case_file, monkeypatch):
    monkeypatch.setattr(tool, "Hunt", lambda *_: pytest.fail("probed"))
    done = optimize(*quick(case_file), "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "at most 3 and one more" in done.out
    assert done.out.endswith("nothing was started (--dry-run)\n")
    (plan,) = map(json.loads, optimize(*quick(case_file), "--dry-run", "--json").out.splitlines())
    assert (plan["event"], plan["max_probes"], plan["usd"]) == ("plan", 3, 0)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--memory-mb", "64:512"), "memory 64:512 MB: wanted LOWEST:HIGHEST, from 128 to 10240"),
        (("--memory-mb", "512:256"), "the lowest comes first, like 256:512"),
        (("--memory-mb", "much"), "wanted LOWEST:HIGHEST, like 256:3008"),
        (("--workers", "0:5"), "wanted numbers from 1"),
        (("--workers", "50000"), "50000 workers, but"),
        (("--objective", "fame"), "invalid choice: 'fame'"),
        (("--max-probes", 0), "0 probes: wanted at least 1"),
        (("--processes", 2), "--processes: each worker of a probe has a process of its own"),
        (("--region", "mars-1"), "no prices for region 'mars-1'"),
        (("--prices", "gone.json"), "--prices gone.json: cannot be read"),
        (("--plot", "curve.txt"), "name a .png, .svg or .pdf file"),
        (("--plot", "gone/curve.png"), "--plot gone/curve.png cannot be written: there is no folder "),
        (
            ("--threads", 4, "--memory-mb", "10240"),
            "1 workers of 10240 MB are 4.0 cores, and 2 can be used",
        ),
        (("--case", "z"), "no case 'z'"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(argv, words, optimize, case_file, monkeypatch):
    monkeypatch.setattr(tool, "Hunt", lambda *_: pytest.fail("probed"))
    monkeypatch.setattr(probe, "usable_cores", lambda: 2.0)
    done = optimize(*quick(case_file), *argv)
    assert (done.code, done.out) == (2, "")
    assert words in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ("--target-accuracy", 0.9), ("--max-minutes", 5), ("--quorum", 1), ("--max-attempts", 2), ("--seed", 3),
        ("--learning-rate", 0.1), ("--schedule", "cosine"), ("--protocol", "downpour"), ("--push-every", 5),
        ("--wire", "float16"), ("--max-staleness", 3), ("--staleness-aware",), ("--calibrate",), ("--init", "w.st"),
    ],
)  # fmt: skip
def test_options_that_change_neither_time_nor_cost_are_not_offered(argv, optimize, case_file):
    done = optimize(*quick(case_file), *argv)
    assert done.code == 2
    assert "unrecognized arguments" in done.err


def test_where_the_only_size_is_too_small_one_line_says_so(optimize, case_file, monkeypatch):
    def too_small(probe, memory_mb, num_workers, tree=None):
        return Probed(memory_mb, num_workers, (math.inf,), Usage(peak_mb=400.0))

    monkeypatch.setattr(Probe, "__call__", too_small)
    done = optimize(*quick(case_file), "--memory-mb", "256:512", "--max-probes", 1)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith(
        "error: no size that was probed is enough for a worker (it needs 400 MB): 256 MB"
    )


def test_without_matplotlib_a_picture_is_refused_at_once(optimize, case_file, monkeypatch):
    import builtins

    plain = builtins.__import__

    def without(name, *rest):
        if name == "matplotlib":
            raise ImportError("it was built for another NumPy")
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    done = optimize(*quick(case_file), "--plot", "curve.png")
    assert done.code == 2
    assert "(it was built for another NumPy): pip install matplotlib" in done.err
