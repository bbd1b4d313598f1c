"""The benchmarks run, and their rows say what they promise. How fast anything is, no test asks."""

import json
from pathlib import Path

import numpy as np
import pytest

from nnlite.commands.program import run
from nnlite.cost.curve import OBJECTIVES
from nnlite.errors import NnliteError, UsageError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.records.keys import Keys
from nnlite.store.memory import MemoryStore
from tools.bench import emnist, original
from tools.bench.__main__ import build_parser, main


def rows(capsys, *argv):
    assert run(main, build_parser(), list(argv)) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_store(capsys, tmp_path):
    found = rows(capsys, "store", "--store", str(tmp_path), "--rounds", "2", "--json")
    assert [row["verb"] for row in found] == ["put", "get"]
    assert all(row["median_ms"] > 0 and row["of_bare_bandwidth"] is None for row in found)
    assert not list(tmp_path.rglob("weights"))


def test_store_beside_a_bare_client(capsys, memcached):
    url = f"memcached://127.0.0.1:{memcached.port}/bench"
    found = {row["verb"]: row for row in rows(capsys, "store", "--store", url, "--rounds", "2", "--json")}
    assert found.keys() == {"put", "get", "bare put", "bare get"}
    assert found["get"]["of_bare_bandwidth"] == pytest.approx(
        found["bare get"]["median_ms"] / found["get"]["median_ms"], rel=0.1
    )


def test_bytes(capsys):
    names = [row["operation"] for row in rows(capsys, "bytes", "--rounds", "1", "--json")]
    assert "mean of 100 models of case a" in names


def test_search(capsys, tmp_path):
    """Both samplers, each seed; the figures go into the document, at their place."""
    document = tmp_path / "figures.md"
    document.write_text("before\n<!-- tools.bench search -->\nold\n<!-- end -->\nafter\n")
    argv = ("--dataset", "fashion-sample", "--trials", "4", "--rounds", "3", "--seeds", "1")
    found = rows(capsys, "search", *argv, "--write", str(document), "--json")
    assert [row.get("sampler") for row in found] == ["random", "asha", None]
    assert found[0]["rounds"] == 12
    assert found[2]["compute_share"] == round(found[1]["rounds"] / 12, 3) < 1
    text = document.read_text()
    assert text.startswith("before\n<!-- tools.bench search -->\n| seed |")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert f"{found[1]['test_accuracy']:.4f}" in text


def test_optimize_has_a_row_for_each_objective_and_method(capsys):
    found = rows(capsys, "optimize", "--profiles", "2", "--timings", "1", "--json")
    assert [(row["objective"], row["method"]) for row in found] == [
        (objective, method) for objective in OBJECTIVES for method in ("ours", "descent")
    ]
    assert all(row["profiles"] == 2 and row["mean_probes"] <= 8 for row in found)
    assert run(main, build_parser(), ["optimize", "--profiles", "0"]) == 2


def test_no_rounds_is_no_measurement(capsys):
    assert run(main, build_parser(), ["store", "--rounds", "0"]) == 2
    assert "--rounds 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [("store", "--case", "a", "--calibrate"), ("search", "--dataset", "fashion-sample", "--write")]
)
@pytest.mark.parametrize("file", ["no/such/folder/x", "."])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(argv, file, capsys):
    assert run(main, build_parser(), [*argv, file]) == 2
    assert f"{argv[-1]} {file}" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_rounds_are_timed_by_sound_summaries_alone():
    store, keys = MemoryStore(), Keys("r")
    for number in (0, 2):
        key = keys.summary(number)
        store.put(key, contribution.summary(number, Tally(4, 2.0), None, 1.5).to_json(key))
    assert emnist.rounds_s(store, keys, 2) == 3.0
    for text in (b'{"seconds": 7}', b"{}", b"[]", b'{"seconds": "x"}', store.get(keys.summary(0)).data):
        store.put(keys.summary(1), text)
        with pytest.raises(NnliteError, match=f"^{keys.summary(1)}"):
            emnist.rounds_s(store, keys, 2)


def test_trace(capsys):
    (row,) = rows(capsys, "trace", "--case", "c", "--pairs", "1", "--steps", "2", "--json")
    assert row["images_per_s"] > 0
    assert 0 < row["recorder_rate"] < 1
    assert run(main, build_parser(), ["trace", "--pairs", "0"]) == 2


def test_emnist_beside_the_original(capsys, memcached):
    """Every row, on bundled images, to a target that is soon reached."""
    address = f"127.0.0.1:{memcached.port}"
    more = ("--dataset", "fashion-sample", "--target", "0.5", "--rounds", "1", "--minibatches", "2", "--workers", "1")
    found = rows(capsys, "emnist", *more, "--memcached", address, "--json")
    assert [row["loop"] for row in found] == ["original", "original, TCP_NODELAY", "nnlite"]
    assert all(row["seconds"] > 0 for row in found)


def test_a_row_of_the_table_for_each_combination(capsys, memcached):
    url = f"memcached://127.0.0.1:{memcached.port}/table"
    more = ("--dataset", "fashion-sample", "--workers", "1", "--batch", "32", "--every", "5,10", "--samples", "320")
    found = rows(capsys, "table", *more, "--store", url, "--json")
    assert [(row["workers"], row["batch_size"], row["every"], row["samples"]) for row in found] == [
        (1, 32, 5, 320),
        (1, 32, 10, 320),
    ]


def test_the_original_s_faults_are_written_down(monkeypatch):
    """Its gradient is not that of its loss; without the two masks, and divided once, it would be."""
    x, y = np.random.default_rng(0).random((8, 5)), np.arange(8) % 3

    def loss(weights):
        outputs = np.exp(np.tanh(x @ weights[0]) @ weights[1])
        return -np.log((outputs / outputs.sum(axis=1, keepdims=True))[np.arange(8), y]).mean()

    def change(rate):
        monkeypatch.setattr(original, "DROPOUT_RATE", rate)
        model = original.Original(5, 3)
        before = [w.copy() for w in model.weights]
        model.step(x, y)
        return before, model.weights[0] - before[0]

    before, moved = change(0.0)
    up, down = ([before[0] + sign * 1e-6 * (np.arange(5) == 2)[:, None], before[1]] for sign in (1, -1))
    slope = (loss(up) - loss(down)) / 2e-6
    assert 8 * moved[2].sum() == pytest.approx(-slope, rel=1e-3)  # the second division by the batch size is undone
    _, other = change(0.5)
    cosine = (moved * other).sum() / np.linalg.norm(moved) / np.linalg.norm(other)
    assert cosine < 0.95


def test_learning_compares_numbers_of_workers_at_equal_samples(tmp_path, capsys):
    chosen = ("--case", "c", "--dataset", "fashion-sample", "--epochs", "1", "--workers", "1,2", "--seeds", "1")
    assert main(build_parser().parse_args(["learning", *chosen, "--json", "--plot", str(tmp_path / "l.png")])) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["protocol"], row["workers"]) for row in rows] == [
        ("averaging", 1), ("averaging", 2), ("downpour", 1), ("downpour", 2)
    ]  # fmt: skip
    alone = rows[0]
    for row in rows:
        assert row["points"] == pytest.approx(100 * (row["test_accuracy"] - alone["test_accuracy"]), abs=0.01)
        assert 0.2 < row["test_accuracy"] < 1
    assert (tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("workers", ["2,4", "1,x", "1,0", "", "1,-2"])
def test_learning_is_beside_one_worker(workers):
    with pytest.raises(UsageError, match="wanted numbers that begin with 1"):
        main(build_parser().parse_args(["learning", "--case", "c", "--workers", workers]))
