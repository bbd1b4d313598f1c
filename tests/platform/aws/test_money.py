"""What a run on Lambda is expected to cost, and does; searches and memory sizes on the deployed function."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nnlite.cost import prices
from nnlite.invoker.aws.account import CloudAccount
from nnlite.invoker.aws.function import Configuration, Function
from nnlite.platform.aws.functions import DeployedStack
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.store import open_store
from tests.platform.aws.account import ACCOUNT, REGION
from tests.platform.aws.cli import call
from tests.runtime import small
from tests.tools.accounts import assert_one_account, cost_of

STORE = f"s3://nnlite-{ACCOUNT}-{REGION}/nnlite?region={REGION}"
NAME = "nnlite-worker"
SMALL = ("--platform", "lambda", "--case", "c", "--dataset", "fashion-sample")
LIST = prices.tariff(REGION)
DEPLOYED_MB = 1769


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def row_of_bench(*argv):
    bench = importlib.import_module("tools.bench.__main__")
    args = bench.build_parser().parse_args(["estimate", "--platform", "lambda", *map(str, argv)])
    (row,) = importlib.import_module("tools.bench.estimate").measure(args)
    return row


def lines(text, name):
    return [line for line in text.splitlines() if line.startswith(f"{name} ")]


def keys(stack):
    pages = stack.client("s3").get_paginator("list_objects_v2").paginate(Bucket=f"nnlite-{ACCOUNT}-{REGION}")
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


# ---- the estimate, and what it is an estimate of


def test_the_estimate_counts_what_the_run_then_uses(stack):
    """Requests and bytes by counting; seconds only roughly, as this machine may be busy with other things."""
    row = row_of_bench("--case", "a", "--rounds", 1, "--workers", 3)
    estimated, used = row["last"]["estimated"], row["last"]["used"]
    assert estimated["writes"] == pytest.approx(used["writes"], rel=0.25)
    assert estimated["reads"] == pytest.approx(used["reads"], rel=0.5)
    assert estimated["gb_s_by_part"].keys() == used["gb_s_by_part"].keys()
    assert 0.2 < row["gb_s_ratio"] < 5
    assert used["memory_mb"] == estimated["memory_mb"] == DEPLOYED_MB
    assert used["prices_date"] == estimated["prices_date"] == LIST.date


def test_a_measured_estimate_is_kept_for_that_function_and_nothing_else_is(stack):
    command = ("train", *SMALL, "--workers", 2, "--rounds", 2)
    (rough,) = lines(call(*command, "--dry-run").out, "estimate")
    assert rough.endswith("; rough: --calibrate measures it first")
    assert stack.functions.calls == []
    measured = call(*command, "--calibrate", "--yes", "--run", "measured", "--json")
    assert measured.code == 0, measured.err
    runs = {event["run"] for _, event in stack.functions.calls}
    (probe,) = runs - {"measured"}
    assert probe.startswith("probe-")
    (kept,) = lines(call(*command, "--dry-run").out, "estimate")
    assert "rough" not in kept
    assert f"at AWS Lambda's list prices of {LIST.date}" in kept
    (other,) = lines(call(*command, "--batch-size", 10, "--dry-run").out, "estimate")
    assert "rough" in other
    assert not [key for key in keys(stack) if probe in key]  # what the measurement wrote is gone


def test_a_measurement_holds_for_one_size_processor_and_code_of_a_function():
    found = Configuration(1769, 900, "arm64", None, "code")
    others = [replace(found, **{name: of}) for name, of in (("architecture", "x86_64"), ("code", "other"))]
    spec = small.spec(small.dataset())

    def name(of, memory_mb=1769, function="f"):
        deployed = DeployedStack(Function(function, CloudAccount(region=REGION)), of, {}, {})
        return deployed.venue(spec, STORE, 2, memory_mb).name

    names = [name(found), *map(name, others), name(found, 512), name(found, function="g")]
    assert len(set(names)) == 5


def test_measuring_costs_something_so_it_asks(stack):
    refused = call("train", *SMALL, "--workers", 2, "--rounds", 1, "--calibrate")
    assert refused.code == 2
    assert "measure first, by a short run of 2 workers, for about $0.0" in refused.err
    assert "Nobody can be asked here: say --yes" in refused.err
    assert stack.functions.calls == []


@pytest.mark.parametrize("trace", ["--trace", "--no-trace"])
def test_the_summary_states_gb_seconds_dollars_and_the_date_of_the_prices(stack, trace):
    more = ("--workers", 2, "--rounds", 2, "--yes", trace)
    (line,) = lines(call("train", *SMALL, *more, "--out", "w.st").out, "cost")
    assert f" GB-seconds at {DEPLOYED_MB:,} MB: $0.0" in line
    assert f"at AWS Lambda's list prices of {LIST.date}" in line
    assert "$0 here" not in line
    cost = cost_of(call("train", *SMALL, *more, "--json", "--run", f"one{trace}", "--out", "w.st").out)
    assert_one_account(cost, f"one{trace}", STORE)
    assert cost["usd"] == cost["list_usd"] == pytest.approx(sum(cost["usd_by_part"].values()), abs=1e-8)
    assert cost["invocations"] == 2
    assert cost["gb_s"] == pytest.approx(cost["worker_seconds"] * DEPLOYED_MB / 1024, rel=1e-3)
    requests_usd = cost["reads"] * LIST.read_usd + cost["writes"] * LIST.write_usd + 2 * LIST.invocation_usd
    assert cost["usd_by_part"]["requests"] == pytest.approx(requests_usd, abs=1e-8)


# ---- searches


def test_a_search_on_lambda_finds_what_it_finds_at_home(stack):
    def found(*argv):
        done = call("tune", "--case", "c", "--dataset", "fashion-sample", "--trials", 5, "--rounds", 3, "--json",
                    "--search", "mine", "--out", "mine", *argv)  # fmt: skip
        assert done.code == 0, done.err
        result = json.loads(done.out.splitlines()[-1])
        same = ("trial", "configuration", "validation_accuracy", "test_accuracy", "trained_rounds")
        return [result[name] for name in same], Path("mine.safetensors").read_bytes(), result["cost"], done.err

    away, away_bytes, cost, said = found("--platform", "lambda", "--parallel", 3, "--yes", "--budget-usd", 1)
    home, home_bytes, _, _ = found("--parallel", 2)
    assert away == home
    assert away_bytes == home_bytes
    assert cost["usd"] > 0 < cost["gb_s"]
    assert cost["prices_date"] == LIST.date
    assert lines(said, "estimate")[0].endswith("; rough")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("--parallel", 20, "--yes"), 1, "--parallel 20, but only 10 invocations of nnlite-worker can run at a time"),
        (("--parallel", 2), 2, "2 at a time, on Lambda, for about"),
        (("--parallel", 2, "--store", "here", "--yes"), 2, "--store here: functions cannot see it"),
        (("--parallel", 2, "--budget-usd", -1), 2, "--budget-usd -1.0: wanted a positive number of dollars"),
        (("--parallel", 2, "--processes", 1), 2, "--processes is for --platform local"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_line(stack, argv, code, says):
    stack.concurrency_limit = 10
    done = call("tune", *SMALL, "--trials", 4, *argv)
    assert done.code == code
    assert says in done.err.splitlines()[-1]
    assert stack.functions.calls == []


def test_a_search_ends_before_its_budget_is_spent(stack):
    """Some of it is kept back, to end in good order."""
    more = ("--sampler", "random", "--trials", 50, "--rounds", 9, "--parallel", 1, "--json", "--budget-usd", 0.001)
    done = call("tune", *SMALL, *more, "--yes")
    assert done.code == 0, done.err
    result = json.loads(done.out.splitlines()[-1])
    assert result["reason"] == "its budget of $0.001 is spent"
    assert 0 < result["num_trials"] < 50
    assert result["cost"]["usd"] < 0.001


# ---- memory sizes


@pytest.fixture
def optimize(stack, monkeypatch):
    """optimize(*argv): the command with short probes, on functions that are as fast as their memory allows."""
    monkeypatch.setattr(importlib.import_module("nnlite.commands.optimize"), "PROBE_ROUND_S", 0.3)
    stack.functions.holds = True
    yield lambda *argv: call("optimize", *SMALL, *argv)
    stack.functions.holds = False


def memory_mb():
    return Function(NAME, CloudAccount()).configuration().memory_mb


def test_it_probes_the_deployed_function_at_several_sizes_and_puts_it_back(optimize, stack, monkeypatch):
    start, started = stack.functions._start, []
    monkeypatch.setattr(stack.functions, "_start", lambda of, mb: (started.append(mb), start(of, mb))[1])
    done = optimize("--memory-mb", "300:1769", "--workers", "1:2", "--max-probes", 3, "--json", "--yes")
    assert done.code == 0, done.err
    *probes, choice = map(json.loads, done.out.splitlines())
    assert [probe["memory_mb"] for probe in probes[:2]] == [300, 1769]
    assert {*started, DEPLOYED_MB} >= {probe["memory_mb"] for probe in probes}  # of that size one may be warm
    assert len(set(started) - {DEPLOYED_MB}) >= 2
    assert choice["probing"]["usd"] > 0
    assert choice["probing"]["prices_date"] == LIST.date
    assert choice["confirmed_s"] > 0
    assert memory_mb() == DEPLOYED_MB
    sizes = {record.event["run"]: record for record in stack.functions.records}
    assert len(sizes) == len(probes)  # a run each
    assert not [key for key in keys(stack) for run in sizes if run in key]


def test_the_function_is_put_back_whatever_happens(optimize, monkeypatch):
    def interrupted(*_):
        assert memory_mb() == 300
        raise KeyboardInterrupt

    monkeypatch.setattr("nnlite.estimating.probe.short_run", interrupted)
    assert optimize("--memory-mb", "300:1769", "--yes").code == 130
    assert memory_mb() == DEPLOYED_MB


def test_a_function_left_at_another_size_gets_what_the_stack_says(optimize, monkeypatch):
    """A command that was killed could not put it back; the next one does."""
    Function(NAME, CloudAccount()).resize(512)
    monkeypatch.setattr("nnlite.estimating.probe.short_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    optimize("--memory-mb", "300:1769", "--yes")
    assert memory_mb() == DEPLOYED_MB


def test_no_probe_is_begun_above_the_budget(optimize):
    done = optimize("--memory-mb", "300:1769", "--workers", "1", "--yes", "--budget-usd", 0.00005)
    assert done.code == 0, done.err
    assert len([line for line in done.err.splitlines() if line.startswith("probe ")]) == 1
    assert "confirmed  no: that could bring the probing above $5e-05: allow more by --budget-usd" in done.out


def test_a_size_that_is_too_small_is_ruled_out(optimize, stack, monkeypatch):
    """The first function dies of its memory, and so does its successor."""
    monkeypatch.setattr("nnlite.estimating.probe.DEAD_S", 2.0)
    stack.functions.faults.small_rate, stack.functions.faults.most = 1.0, 2
    done = optimize("--memory-mb", "300:1769", "--workers", "1", "--max-probes", 2, "--yes")
    assert done.code == 0, done.err
    assert "too small" in lines(done.err, "probe")[0]
    assert memory_mb() == DEPLOYED_MB


def test_what_may_not_be_probed_is_refused_in_one_line(optimize, stack):
    refused = optimize("--memory-mb", "300:1769")
    assert refused.code == 2
    assert "probe on Lambda, for at most $0.0" in refused.err
    store = open_store(STORE)
    store.put(Keys("busy").head, Head().to_json(Keys("busy").head))
    try:
        done = optimize("--memory-mb", "300:1769", "--yes")
        assert done.code == 1
        assert "busy is running on it: wait for its end, or python -m tools.stop --platform lambda busy" in done.err
    finally:
        store.delete(Keys("busy").head)
    stack.refuse(f"lambda:PUT /2015-03-31/functions/{NAME}/configuration", 403, "AccessDeniedException")
    done = optimize("--memory-mb", "300:1769", "--yes")
    assert done.code == 1
    assert "may not lambda:UpdateFunctionConfiguration; allow it" in done.err
    assert stack.functions.calls == []
