"""`python -m tools.train`, from the command line to the file of weights."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import nnlite
from nnlite import cases, data, nn
from nnlite.store.file import FileStore
from tests.tools.conftest import REPOSITORY

QUICK = ("--rounds", 2, "--steps-per-round", 3, "--batch-size", 5)


def hits(model, split: data.Split) -> float:
    """Accuracy, counted by hand."""
    outputs = model.predict(split.x)
    labels = outputs.argmax(axis=1) if outputs.shape[1] > 1 else np.where(outputs[:, 0] > 0, 1, -1)
    return float(np.mean(labels == split.y))


@pytest.mark.parametrize(
    ("case", "dataset", "workers"),
    [
        ("a", None, 1),
        ("b", None, 2),
        ("c", None, 3),
        ("emnist", None, 2),
        ("c", "fashion-sample", 2),
        ("b", "mnist", 1),
        ("a", "bits", 2),
    ],
)
def test_every_case_trains_and_its_file_predicts_as_reported(case, dataset, workers, train, data_dir):
    chosen = ("--dataset", dataset) if dataset else ()
    files = (
        () if "bits" in (dataset, cases.CASES[case].dataset) or dataset == "fashion-sample" else ("--data", data_dir)
    )
    done = train("--case", case, *chosen, *files, "--workers", workers, *QUICK, "--json", "--out", "w.st")
    assert done.code == 0, done.err
    *rounds, result = map(json.loads, done.out.splitlines())
    rows = data.load(dataset or cases.CASES[case].dataset, data_dir=data_dir)
    assert [r["round"] for r in rounds] == [1, 2]
    assert result["test_accuracy"] == rounds[-1]["test_accuracy"] == hits(nnlite.load("w.st"), rows.test)


def test_json_lines_have_the_documented_fields(train, case_file):
    done = train("--case", case_file(), "--json", "--run", "r1", "--out", "w.st", "--workers", 2)
    *rounds, result = map(json.loads, done.out.splitlines())
    fields = {"event", "version", "round", "loss", "images_per_s", "seconds", "test_accuracy"}
    assert [set(r) for r in rounds] == [fields] * 3
    assert all(r["event"] == "round" and r["loss"] > 0 and r["images_per_s"] > 0 for r in rounds)
    fields = {
        "event",
        "version",
        "run",
        "test_accuracy",
        "test_errors",
        "rounds",
        "seconds",
        "weights",
        "reason",
        "cost",
    }
    assert set(result) == fields
    assert result["test_errors"] is None
    assert (result["event"], result["run"], result["rounds"]) == ("result", "r1", 3)
    assert (result["weights"], result["reason"]) == ("w.st", "all rounds done")


def test_for_people_one_line_a_round_and_how_to_load_the_weights(case_file, start):
    process = start("--case", case_file(), "--run", "r1")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    first, _, third, result, *loading = out.splitlines()
    assert first.startswith("round   1/3  training loss ")
    assert all(word in third for word in ("3/3", "test accuracy 0.", "samples/s", " s"))
    assert result.startswith("test accuracy 0.")
    assert 'nnlite.load("r1.safetensors")' in "\n".join(loading)
    assert 'load_file("r1.safetensors")' in "\n".join(loading)
    told = {line.split()[0] for line in err.splitlines()}
    assert told >= {"run", "case", "dataset", "network", "optimizer", "workers", "rounds", "store"}


def test_a_user_s_case_trains_in_other_processes_than_its_own(train, case_file):
    """A layer and a dataset of one's own, and prints in the wrong place, which end up on stderr."""
    path = case_file()
    done = train("--case", path, "--workers", 2, "--processes", 2, "--json", "--rounds", 5, "--out", "two.st")
    assert done.code == 0, done.err
    assert "a user prints" not in done.out
    result = json.loads(done.out.splitlines()[-1])
    case = cases.load_file(path)
    assert result["run"].startswith("my-case-")
    assert result["test_accuracy"] == hits(nnlite.load("two.st"), case.dataset().test) > 0.8
    assert train("--case", path, "--workers", 2, "--processes", 0, "--rounds", 5, "--out", "none.st").code == 0
    assert np.array_equal(nnlite.load("two.st").weights, nnlite.load("none.st").weights)


OWN_OPTIMIZER = """
@dataclass(frozen=True)
class Signs(nn.Optimizer):
    def update_inplace(self, weights, gradient, slots, step):
        weights -= weights.dtype.type(self.rate(step)) * np.sign(gradient)

import dataclasses
case = dataclasses.replace(case, optimizer=Signs(0.01))
"""
OWN_INITIALIZER = """
@dataclass(frozen=True)
class Halves(nn.Initializer):
    def fill_inplace(self, tensor, rng, fan_in, fan_out):
        tensor[...] = rng.choice([-0.5, 0.5], tensor.shape)

import dataclasses
case = dataclasses.replace(case, network=lambda s, k: nn.Sequential([nn.Dense(k, weight=Halves())], s))
"""
OWN_SCHEDULE = """
@dataclass(frozen=True)
class Falling(nn.Schedule):
    def at(self, step):
        print("a schedule of one's own", file=__import__("sys").stderr)
        return 0.1 / (1 + step)

import dataclasses
case = dataclasses.replace(case, optimizer=nn.SGD(Falling()))
"""
OWN_LOSS = """
@dataclass(frozen=True)
class Doubled(nn.SoftmaxCrossEntropy):
    def value_and_gradient(self, outputs, targets, out):
        value = 2 * super().value_and_gradient(outputs, targets, out)
        out *= 2
        return value

import dataclasses
case = dataclasses.replace(case, network=lambda s, k: nn.Sequential([nn.Dense(k)], s, Doubled()))
"""


@pytest.mark.parametrize("more", [OWN_OPTIMIZER, OWN_INITIALIZER, OWN_SCHEDULE, OWN_LOSS])
def test_whatever_is_of_the_user_s_own_reaches_the_workers(more, train, case_file):
    done = train("--case", case_file(layer="nn.Tanh()", more=more), "--workers", 2, "--processes", 2)
    assert done.code == 0, done.err


def test_a_case_of_builtin_parts_alone_needs_its_file_no_more(train, case_file):
    path = case_file(layer="nn.ReLU()")
    assert json.loads(train("--case", path, "--dry-run", "--json").out)["case_file"] is None
    own = json.loads(train("--case", case_file(), "--dry-run", "--json").out)["case_file"]
    assert own == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_dry_run_shows_and_starts_nothing(train, tmp_path):
    store, out = tmp_path / "store", tmp_path / "w.st"
    done = train("--case", "c", "--dataset", "fashion-sample", "--store", store, "--out", out, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "55,050 parameters" in done.out
    assert "dense3" in done.out
    assert done.out.endswith("nothing was started (--dry-run)\n")
    assert not store.exists()
    assert not out.exists()


def test_the_plan_as_json_is_the_specification(train, case_file):
    argv = ("--case", case_file(), "--workers", 3, "--tree", "1,3", "--steps-per-round", 5, "--epochs", 2)
    plan = json.loads(train(*argv, "--seed", 9, "--dry-run", "--json").out)
    assert (plan["event"], plan["tree_widths"], plan["seed"]) == ("plan", [1, 3], 9)
    # 120 rows, 3 workers, batches of 10: 4 steps an epoch, so 8 in 2 epochs, in rounds of 5
    assert (plan["num_rounds"], plan["steps_per_round"]) == (2, 5)


@pytest.mark.parametrize(("given", "rounds"), [((), 3), (("--epochs", 7), 7), (("--rounds", 4), 4)])
def test_rounds_are_local_epochs_unless_told_otherwise(given, rounds, train, case_file):
    assert json.loads(train("--case", case_file(), *given, "--dry-run", "--json").out)["num_rounds"] == rounds


def test_a_tree_and_the_flat_merge_agree(train, case_file):
    path = case_file()
    for name, tree in (("flat", "1,3"), ("deep", "1,2,3")):
        assert train("--case", path, "--workers", 3, "--tree", tree, "--processes", 0, "--out", name).code == 0
    np.testing.assert_allclose(nnlite.load("flat").weights, nnlite.load("deep").weights, rtol=1e-5, atol=1e-6)


def test_the_seed_and_only_the_seed_changes_the_weights(train, case_file):
    path = case_file()
    for name, seed in (("one", 1), ("two", 2), ("again", 1)):
        assert train("--case", path, "--seed", seed, "--processes", 0, "--out", name).code == 0
    one, two, again = (nnlite.load(name).weights for name in ("one", "two", "again"))
    assert np.array_equal(one, again)
    assert not np.allclose(one, two)


@pytest.mark.parametrize("optimizer", cases.OPTIMIZERS)
def test_every_optimizer(optimizer, train, case_file):
    argv = ("--case", case_file(layer="nn.ReLU()"), "--optimizer", optimizer, "--learning-rate", 0.02, "--processes", 0)
    done = train(*argv, "--rounds", 30, "--json", "--out", "w.st")
    *rounds, result = map(json.loads, done.out.splitlines())
    assert rounds[-1]["loss"] < rounds[0]["loss"]
    assert result["test_accuracy"] > 0.7


def test_augmentation_is_part_of_the_run(train, data_dir):
    for name, how in (("plain", "none"), ("changed", "flip,crop:2"), ("again", "flip,crop:2")):
        argv = ("--case", "c", "--data", data_dir, *QUICK, "--augment", how, "--processes", 0, "--out", name)
        assert train(*argv).code == 0
    plain, changed, again = (nnlite.load(name).weights for name in ("plain", "changed", "again"))
    assert np.array_equal(changed, again)
    assert not np.array_equal(plain, changed)


def test_a_store_in_memory_leaves_nothing_but_the_weights(train, case_file, tmp_path):
    done = train("--case", case_file(), "--workers", 2, "--store", "memory://", "--out", "w.st")
    assert done.code == 0, done.err
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["w.st"]


def test_the_target_accuracy_ends_it(train, case_file):
    argv = ("--case", case_file(), "--target-accuracy", 0.6, "--rounds", 90, "--processes", 0, "--json")
    result = json.loads(train(*argv).out.splitlines()[-1])
    assert result["rounds"] < 90
    assert result["test_accuracy"] >= 0.6
    assert result["reason"].startswith("reached test accuracy")


def test_a_run_s_name_is_taken_once(train, case_file):
    argv = ("--case", case_file(), "--run", "mine", "--rounds", 1, "--processes", 0)
    assert train(*argv).code == 0
    again = train(*argv)
    assert again.code == 1
    assert "there is a run 'mine'" in again.err.splitlines()[-1]
    assert "--resume mine" in again.err


def test_the_store_can_be_a_path_or_a_url(train, case_file, tmp_path):
    argv = ("--case", case_file(), "--rounds", 1, "--processes", 0)
    assert train(*argv, "--run", "one", "--store", tmp_path / "a b").code == 0
    assert train(*argv, "--run", "two", "--store", f"file://{tmp_path}/a%20b").code == 0
    store = FileStore(tmp_path / "a b")
    assert store.get("runs/one/spec.json")
    assert store.get("runs/two/spec.json")


def test_help_ends_with_examples():
    done = subprocess.run(
        [sys.executable, "-m", "tools.train", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].startswith("  python -m tools.train ")


def test_whoever_reads_may_leave(case_file, start):
    """`tools.train | head -1` ends early, quietly."""
    process = start("--case", case_file(layer="nn.Tanh()", num_train=5000), "--rounds", 2000)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("round   1/")
    process.stdout.close()
    assert process.wait(timeout=180) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(("length", "steps"), [(("--rounds", 4, "--steps-per-round", 3), 12), (("--epochs", 2), 12)])
def test_with_a_cosine_the_learning_rate_ends_with_the_last_step(length, steps, train, case_file):
    def rates(*flags):
        argv = (
            "--case",
            case_file(),
            "--workers",
            2,
            "--scale",
            "none",
            "--learning-rate",
            0.5,
            *length,
            *flags,
            "--dry-run",
            "--json",
        )
        optimizer = nn.Optimizer.from_config(json.loads(train(*argv).out)["optimizer"])
        return [optimizer.rate(step) for step in range(steps)]

    falling = rates("--schedule", "cosine")
    assert falling[0] == 0.5
    assert falling == sorted(falling, reverse=True)
    assert 0 < falling[-1] < 0.02
    assert rates() == [0.5] * steps


def test_a_schedule_of_the_cases_own_is_not_replaced(train, case_file):
    own = "from dataclasses import replace\ncase = replace(case, optimizer=nn.SGD(nn.StepDecay(0.1, 5)))\n"
    done = train("--case", case_file(more=own), "--schedule", "cosine", "--dry-run")
    assert (done.code, "has one of its own" in done.err) == (2, True)
