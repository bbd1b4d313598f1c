"""What cannot be meant, or cannot be done: one clear line, exit code 2 or 1, never a traceback."""

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from nnlite.data import idx
from tests.tools.conftest import CASE_FILE, REPOSITORY, Done

QUICK = ("--rounds", 1, "--steps-per-round", 1)


def check(done: Done, code: int, *words: str) -> None:
    """One error line, the last one, with these words; what stands before it is what the run introduced."""
    *before, last = done.err.splitlines()
    assert done.code == code, done
    assert done.out == "", done
    assert last.startswith("error: ") or ": error: " in last, last
    assert not any("error:" in line for line in before), done
    assert "Traceback" not in done.err, done
    assert "unexpected" not in last, last
    assert "  " not in last, last
    for word in words:
        assert word in last, last


USAGE = {
    "no case": ((), "which case? --case a|b|c|emnist"),
    "unknown case": (("--case", "z"), "no case 'z'; there are a, b, c, emnist, r, or give a file"),
    "missing case file": (("--case", "gone.py"), "no case file gone.py"),
    "unknown dataset": (("--dataset", "imagenet"), "no dataset 'imagenet'; there are", "fashion-sample"),
    "no workers": (("--workers", 0), "workers: 0, wanted at least 1"),
    "negative workers": (("--workers", -3), "workers: -3"),
    "many workers": (("--workers", 6001), "6001 workers", "only 6000 training samples: use at most 6000"),
    "tree's end": (("--workers", 3, "--tree", "1,2"), "merge tree 1,2 ends in 2", "3 workers: let it end in 3"),
    "tree's root": (("--workers", 3, "--tree", "2,3"), "merge tree 2,3: it must begin with 1"),
    "tree that narrows": (("--workers", 3, "--tree", "1,4,3"), "merge tree 1,4,3: no level can be narrower"),
    "tree of words": (("--tree", "1,x"), "--tree: '1,x': wanted numbers", "1,4,20"),
    "empty tree": (("--tree", ""), "--tree: '': wanted numbers"),
    "empty batch": (("--batch-size", 0), "batch size: 0, wanted at least 1"),
    "negative batch": (("--batch-size", -1), "batch size: -1"),
    "negative rounds": (("--rounds", -1), "rounds: -1, wanted at least 0"),
    "negative epochs": (("--epochs", -1), "rounds: -1"),
    "no steps": (("--steps-per-round", 0), "steps per round: 0"),
    "rounds and epochs": (("--epochs", 1, "--rounds", 1), "--rounds and --epochs both say how long: leave one out"),
    "softmax of bits": (("--case", "c", "--dataset", "bits"), "1 outputs and a softmax", "targets of -1 and +1"),
    "half a round": (("--rounds", 1.5), "--rounds: invalid int value: '1.5'"),
    "never evaluated": (("--eval-every", 0), "eval_every: 0, wanted at least 1"),
    "negative checkpoints": (("--checkpoint-every", -1), "checkpoint_every: -1"),
    "negative rate": (("--learning-rate", -1), "learning_rate -1.0 is not a positive number"),
    "zero rate": (("--learning-rate", 0), "learning_rate 0.0 is not a positive number"),
    "rate nan": (("--learning-rate", "nan"), "learning_rate nan is not a positive number"),
    "rate of another optimizer": (("--optimizer", "adam", "--learning-rate", "inf"), "Adam: learning_rate inf"),
    "unknown optimizer": (("--optimizer", "lion"), "no optimizer 'lion'; there are sgd, momentum"),
    "target": (("--target-accuracy", 2), "target accuracy 2.0: wanted a fraction"),
    "target nan": (("--target-accuracy", "nan"), "target accuracy nan"),
    "target 0": (("--target-accuracy", 0), "target accuracy 0.0"),
    "negative seed": (("--seed", -1), "seed -1: wanted a whole number from 0 to 4294967295"),
    "huge seed": (("--seed", 2**32), "seed 4294967296: wanted"),
    "run id": (("--run", "My Run"), "run id 'My Run': use 1 to 64 of a-z"),
    "run id that climbs": (("--run", "../x"), "run id '../x'"),
    "store scheme": (("--store", "ftp://host/x"), "'ftp://host/x' is not a store", "file://"),
    "no store": (("--store", ""), "'' is not a store"),
    "out a folder": (("--out", "."), "--out . is a folder: name a file"),
    "out nowhere": (("--out", "no/such/w.st"), "there is no folder ", "/no/such"),
    "augment": (("--augment", "rotate"), "--augment: 'rotate': wanted none, flip, crop:PIXELS"),
    "augment by nothing": (("--augment", "crop"), "--augment: 'crop': wanted"),
    "augment by less": (("--augment", "crop:-1"), "--augment: 'crop:-1': wanted"),
    "augmented bits": (("--case", "a", "--augment", "flip"), "augment is for images, and bits has rows of (20,)"),
    "negative processes": (("--processes", -1), "--processes -1: wanted 0"),
    "memory and processes": (("--store", "memory://", "--processes", 2), "cannot see a store in memory"),
    "platform": (("--platform", "moon"), "--platform: invalid choice: 'moon'"),
    "option of the other protocol": (("--push-every", 3), "--push-every is for protocol downpour, and this is"),
    "platform, nearly": (("--platform", "lamda"), "; the nearest is lambda"),
    "unknown flag": (("--wokers", 2), "unrecognized arguments: --wokers 2; the nearest option is --workers"),
}  # fmt: skip


@pytest.mark.parametrize("what", USAGE)
def test_usage(what, train, tmp_path):
    given, *words = USAGE[what]
    case = () if "--case" in given or what == "no case" else ("--case", "c")
    dataset = () if "--dataset" in given or "--case" in given or what == "no case" else ("--dataset", "fashion-sample")
    quick = () if "--epochs" in given else QUICK
    check(train(*case, *dataset, *quick, *given), 2, *words)
    assert list((tmp_path / "here").iterdir()) == []  # nothing was begun


CASE_FILES = {
    "fails": ("1 / 0", "fails: ZeroDivisionError: division by zero"),
    "does not parse": ("def (", "fails: SyntaxError"),
    "defines none": ("x = 1", "defines no `case = nnlite.cases.Case(...)`"),
    "defines another": ("case = 'b'", "defines no `case"),
    "takes a name": (
        "from nnlite import nn\nfrom dataclasses import dataclass\n@dataclass\nclass Dense(nn.Layer): pass",
        "has the name of one of nnlite's own classes",
    ),
    "leaves": ("raise SystemExit(0)", "fails: SystemExit: 0"),
}


@pytest.mark.parametrize("what", CASE_FILES)
def test_case_files(what, train, tmp_path):
    text, words = CASE_FILES[what]
    path = tmp_path / "my_case.py"
    path.write_text(text)
    check(train("--case", path), 2, str(path), words)


def test_a_case_file_that_is_a_folder(train, tmp_path):
    (tmp_path / "folder.py").mkdir()
    check(train("--case", tmp_path / "folder.py"), 2, "no case file")


OWN_FUNCTIONS = {
    "dataset": ("rows = lambda: 1 / 0", "its dataset: ZeroDivisionError: division by zero"),
    "no dataset": ("rows = lambda: None", "its dataset is of type NoneType, wanted Dataset"),
    "network": ("network = lambda shape, k: shape[9]", "its network: IndexError: tuple index out of range"),
    "no network": ("network = lambda shape, k: 'net'", "its network is of type str, wanted Sequential"),
    "structure": ("network = lambda shape, k: nn.Sequential([nn.Conv2D(3, 3)], shape)", "layer conv1"),
    "outputs": ("network = lambda shape, k: nn.Sequential([nn.Dense(1)], shape)", "1 outputs", "pairs has 2 classes"),
}


@pytest.mark.parametrize("what", OWN_FUNCTIONS)
def test_functions_of_a_case_file(what, train, tmp_path):
    text, *words = OWN_FUNCTIONS[what]
    path = tmp_path / "my_case.py"
    lines = CASE_FILE.replace("NUM_TRAIN", "20").replace("LAYER", "Scale()").splitlines()
    path.write_text("\n".join([*lines[:-1], text, lines[-1]]))
    done = train("--case", path, "--processes", 0)
    check(done, done.code, *words)
    assert done.code in {1, 2}


@pytest.mark.parametrize("processes", [0, 2])
def test_a_layer_that_fails_in_a_worker(processes, train, case_file):
    """One line, not ten attempts; where exactly, --debug shows."""
    path = case_file(more="\nScale.backward = lambda *a: 1 / 0\n")
    done = train("--case", path, "--workers", 2, "--processes", processes)
    last = [line for line in done.err.splitlines() if "a user prints" not in line][-1]
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "ZeroDivisionError: division by zero" in last
    assert "--debug shows where" in last


# ---- data


def write(path: Path, array: np.ndarray, cut: int = 0) -> None:
    data = idx.encode(array)
    path.write_bytes(gzip.compress(data[: len(data) - cut]))


def mangle(root: Path, how: str) -> None:
    images, labels = (root / "mnist" / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    if how == "truncated":
        write(images, np.zeros((60, 28, 28), np.uint8), cut=100)
    elif how == "torn":
        images.write_bytes(images.read_bytes()[:2000])
    elif how == "mislabelled":
        write(labels, np.zeros(59, np.uint8))
    elif how == "foreign labels":
        write(labels, np.full(60, 10, np.uint8))
    elif how == "text":
        images.write_text("<html>404</html>")
    elif how == "images for labels":
        shutil.copy(images, labels)
    elif how == "one missing":
        labels.unlink()
    elif how == "no rows":
        write(images, np.zeros((0, 28, 28), np.uint8))
        write(labels, np.zeros(0, np.uint8))


MANGLED = {
    "truncated": ("train-images", "truncated: expected 47056 bytes", "found 46956"),
    "torn": ("train-images", "truncated or corrupt gzip"),
    "mislabelled": ("mislabelled: 60 images, 59 labels",),
    "foreign labels": ("mislabelled: expected labels 0 to 9",),
    "text": ("train-images", "not an IDX file"),
    "images for labels": ("train-labels", "mislabelled: expected labels"),
    "one missing": ("no mnist in --data", "train-labels-idx1-ubyte.gz"),
    "no rows": ("no rows",),
}


@pytest.mark.parametrize("how", MANGLED)
def test_data_files(how, train, data_dir, tmp_path):
    mangle(data_dir, how)
    check(train("--case", "c", "--data", data_dir, *QUICK), 2, *MANGLED[how])
    assert list((tmp_path / "here").iterdir()) == []


def test_a_missing_data_folder(train):
    check(train("--case", "c", "--data", "nowhere"), 2, "no mnist in --data nowhere: expected train-images")


def test_data_of_another_name(train, data_dir):
    check(train("--case", "c", "--dataset", "fashion-mnist", "--data", data_dir / "emnist"), 2, "no fashion-mnist in")


# ---- runs and stores


def begun(train, case_file, *more: object, run: str = "mine") -> None:
    assert train("--case", case_file(), "--run", run, "--processes", 0, "--rounds", 1, *more).code == 0


def test_resuming(train, case_file):
    check(train("--resume", "unknown"), 1, "no run 'unknown' in file:///", "check the run's id and --store")
    check(train("--resume", "Not An Id"), 2, "run id 'Not An Id': use 1 to 64 of a-z")
    begun(train, case_file)
    check(train("--resume", "mine", "--rounds", 9), 2, "--resume goes on with the run as it began: leave --rounds out")
    check(train("--resume", "mine"), 1, "run mine is done (all rounds done): there is nothing to resume")


@pytest.mark.parametrize("processes", [0, 1])
def test_a_checkpoint_of_another_run(processes, train, case_file):
    begun(train, case_file, "--optimizer", "adam", run="other")
    path = case_file(layer="nn.ReLU()")
    argv = ("--case", path, "--run", "mine", "--processes", 0, "--rounds", 1, "--learning-rate", 1e38)
    assert "no longer a number" in train(*argv).err
    shutil.copy(".nnlite/runs/other/ckpt/00000000", ".nnlite/runs/mine/ckpt/00000000")
    done = train("--resume", "mine", "--processes", processes)
    check(done, 1, "runs/mine/ckpt/00000000: ", "it is 'runs/other/ckpt/00000000'")


@pytest.mark.parametrize("processes", [0, 2])
def test_a_loss_that_is_no_number(processes, train, case_file):
    argv = ("--case", case_file(layer="nn.ReLU()"), "--workers", 2, "--learning-rate", 1e38, "--rounds", 9)
    done = train(*argv, "--processes", processes, "--run", "mine")
    assert "Traceback" not in done.err
    last = done.err.splitlines()[-1]
    assert done.code == 1
    assert last.startswith("error: run mine failed: the loss is no longer a number (round ")
    assert "worker " in last
    assert "try a smaller --learning-rate, or another --optimizer" in last
    assert "its checkpoints stay in file:///" in last


def test_no_processes_train_here(train, case_file):
    assert train("--case", case_file(), "--workers", 3, "--processes", 0).code == 0


def test_a_store_that_is_a_file(train, case_file, tmp_path):
    (tmp_path / "file").write_text("")
    check(train("--case", case_file(), "--store", tmp_path / "file"), 2, f"{tmp_path}/file is not a folder")
    check(train("--case", case_file(), "--store", tmp_path / "file/below"), 2, "/file is not a folder", "file/below")
    assert (tmp_path / "file").read_text() == "", "it is as it was"


AS_NOBODY = """
import contextlib, io, os, sys
from nnlite.commands import train
from nnlite.commands.program import run
with contextlib.redirect_stdout(io.StringIO()):  # imports all it needs, which nobody might not be able to read
    run(train.main, train._parser(), [*sys.argv[1:5], "--dry-run"])
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(run(train.main, train._parser(), sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("what", "words"), [("store", "permission denied"), ("out", "no permission for it, or for the folder")]
)
def test_where_nobody_may_write(what, words):
    """As user nobody if we are root, whom no permission bit stops."""
    root = Path(tempfile.mkdtemp(prefix="nnlite-"))  # tmp_path is closed to other users
    try:
        root.chmod(0o755)
        (root / "open").mkdir()
        (root / "open").chmod(0o777)
        (root / "closed").mkdir()
        (root / "closed").chmod(0o555)
        where = {"store": root / "open/store", "out": root / "open/w.st", what: root / "closed" / what}
        places = ["--store", where["store"], "--out", where["out"], "--processes", 0]
        argv = ["--case", "a", "--steps-per-round", 1, *places]  # generated: nobody might not read data files
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *map(str, argv), "--rounds", "1"],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        check(Done(done.returncode, done.stdout, done.stderr), {"store": 1, "out": 2}[what], str(where[what]), words)
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("processes", [0, 2])
def test_a_full_disk(processes, train, small_disk):
    store = small_disk / "store"
    argv = ("--case", "c", "--dataset", "fashion-sample", "--store", store, "--processes", processes)
    done = train(*argv, "--out", os.path.abspath("w.st"))
    check(done, 1, "cannot write", str(store), "No space left on device", "free some space or choose another store")


@pytest.mark.parametrize("processes", [0, 2])
def test_a_disk_that_fills_up_in_mid_run(processes, train, small_disk, case_file):
    path = case_file(layer="nn.Tanh(), nn.Dense(700), nn.Tanh()")
    argv = ("--case", path, "--store", small_disk, "--processes", processes, "--checkpoint-every", 1, "--run", "mine")
    done = train(*argv, "--rounds", 50, "--workers", 2, "--out", os.path.abspath("w.st"))
    errors = [line for line in done.err.splitlines() if "error:" in line]
    assert done.code == 1
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert "Traceback" not in done.err
    assert len(list((small_disk / "runs/mine/ckpt").iterdir())) > 2


def test_out_that_cannot_be_written_in_the_end(train, case_file, small_disk):
    """The weights are in the store all the same, and the line says so."""
    path = case_file(layer="nn.Tanh(), nn.Dense(90000), nn.Tanh()")
    done = train("--case", path, "--rounds", 0, "--processes", 0, "--out", small_disk / "w.st", "--run", "mine")
    assert done.code == 1
    assert "cannot write" in done.err.splitlines()[-1]
    assert "w.st" in done.err.splitlines()[-1]
    assert "No space left" in done.err.splitlines()[-1]
