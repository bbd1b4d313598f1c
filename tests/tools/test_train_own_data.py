"""`train --dataset PATH`: from a file or folder of one's own to a network that has learned it."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from nnlite import cases
from nnlite.commands import predict, simulate, tune
from nnlite.commands.program import run
from nnlite.protocol.records.spec import RunSpec
from tests.tools.documented import check

RNG = np.random.default_rng(0)
CENTRES = {"oak": (0.0, 0.0, "wet"), "ash": (5.0, 0.0, "dry"), "elm": (0.0, 900.0, "dry")}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "secret folder" / "Trees.csv"
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "height", "weight", "soil", "kind"])
        for number in range(90):
            kind = list(CENTRES)[number % 3]
            x, y, soil = CENTRES[kind]
            writer.writerow([number, x + RNG.normal(), y + 100 * RNG.normal(), soil, kind])
    return path


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "flowers"
    for name, color in (("poppy", (200, 40, 40)), ("violet", (110, 40, 180))):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            noisy = np.clip(np.full((20, 24, 3), color) + RNG.normal(0, 20, (20, 24, 3)), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / name / f"{number}.jpg")
    return folder


def spec_of(folder):
    (path,) = folder.glob(".nnlite/runs/*/spec.json")
    return RunSpec.from_json(path.read_bytes(), str(path)), path.read_text()


def result(done):
    assert done.code == 0, done
    return json.loads(done.out.splitlines()[-1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_table_alone_becomes_a_network_that_knows_it(workers, train, table, tmp_path):
    found = result(train("--dataset", table, "--ignore", "id", "--workers", workers, "--json"))
    assert found["test_accuracy"] >= 0.85
    assert found["run"].startswith("trees-")
    spec, text = spec_of(tmp_path / "here")
    assert (spec.data.name, spec.data.class_names) == ("trees.csv", ("ash", "elm", "oak"))
    assert [column["name"] for column in spec.data.inputs["columns"]] == ["height", "weight", "soil"]
    assert "secret" not in text, "no path of this machine is in the store"


def test_a_folder_of_pictures_alone_becomes_a_network_that_knows_them(train, pictures):
    found = result(train("--dataset", pictures, "--size", 16, "--epochs", 10, "--json"))
    assert found["test_accuracy"] >= 0.75


def test_an_npz_goes_with_any_case(train, tmp_path):
    x = RNG.integers(0, 256, (60, 12, 12), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(60) % 3)
    found = result(train("--dataset", tmp_path / "a.npz", "--case", "c", "--rounds", 1, "--json"))
    assert found["rounds"] == 1


def test_the_same_file_is_the_same_dataset_and_the_same_weights(train, table):
    (first, second) = (
        result(train("--dataset", table, "--epochs", 3, "--run", f"r{n}", "--out", f"{n}.st", "--json")) for n in (1, 2)
    )
    assert first["test_accuracy"] == second["test_accuracy"]
    from nnlite import weights

    np.testing.assert_array_equal(weights.load("1.st").vector, weights.load("2.st").vector)


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "here" / "prices.csv"
    x = RNG.normal(size=(200, 2))
    with path.open("w", newline="") as file:
        rows = ([*row, 1e6 + 3e5 * row[0] - 1e5 * row[1]] for row in x.tolist())
        csv.writer(file).writerows([["rooms", "age", "price"], *rows])
    return path


@pytest.mark.parametrize("more", [(), ("--workers", 2), ("--workers", 2, "--protocol", "downpour", "--eval-every", 1)])
def test_amounts_are_learned_and_answered_in_their_unit(more, train, prices, capfd):
    found = result(train("--dataset", "prices.csv", *more, "--out", "p.st", "--json"))
    assert found["test_accuracy"] is None
    assert found["test_errors"]["count"] == 40
    assert found["test_errors"]["r2"] > 0.9
    done = train("--resume", found["run"], "--out", "q.st")
    assert re.search(r"test RMSE [\d.e+]+, mean error [\d.e+]+, R2 0\.9\d+ of 40 rows after", done.out)
    argv = ["p.st", "prices.csv", "--evaluate", "--json"]
    assert run(predict.main, predict._parser(), argv) == 0
    out = capfd.readouterr().out
    assert check("tools.predict", out) == {"errors"}
    assert json.loads(out)["r2"] > 0.9
    assert run(predict.main, predict._parser(), ["p.st", "prices.csv"]) == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"prices\.csv:2  [\d.e+]{5,}", first)


def test_what_amounts_have_not_is_refused(train, prices, capfd):
    for argv, words in (
        (("--case", "c"), "its targets are amounts, which want one output and MeanSquaredError or Huber"),
        (("--target-accuracy", 0.9), "prices.csv has amounts, no classes"),
    ):
        done = train("--dataset", "prices.csv", *argv)
        assert (done.code, words in done.err) == (2, True), done
    assert run(tune.main, tune._parser(), ["--dataset", "prices.csv"]) == 2
    assert "a search compares by accuracy" in capfd.readouterr().err


BAD = {
    "no such file": (("--dataset", "gone.csv"), "no file or folder gone.csv"),
    "no such name": (("--dataset", "gone"), "no dataset 'gone'; there are", "or name a file or folder of your own"),
    "no such target": (("--dataset", "trees.csv", "--target", "age"), "--target: trees.csv has no column 'age'"),
    "no such feature": (
        ("--dataset", "trees.csv", "--features", "id,age"),
        "--features: trees.csv has no column 'age'",
    ),
    "a size of a table": (("--dataset", "trees.csv", "--size", "32"), "--size does nothing for a table"),
    "a test split of nothing": (("--dataset", "trees.csv", "--test", "0"), "--test 0.0: wanted a share"),
    "missing how": (("--dataset", "trees.csv", "--missing", "skip"), "--missing: invalid choice: 'skip'"),
    "a target of the catalog": (
        ("--dataset", "fashion-sample", "--target", "kind"),
        "--target is for a file or folder",
    ),
    "a folder of data": (("--dataset", "trees.csv", "--data", "."), "--data .: trees.csv is a path itself"),
    "a damaged file": (("--dataset", "bad.csv"), "bad.csv, line 3: 2 cells, expected 3"),
    "a network of images": (("--dataset", "trees.csv", "--case", "b"), "case 'b' does not fit trees.csv"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_one_line_and_nothing_was_begun(what, train, table, tmp_path):
    here = tmp_path / "here"
    (here / "trees.csv").write_bytes(table.read_bytes())
    (here / "bad.csv").write_text("a,b,kind\n1,2,x\n1,2\n")
    given, *words = BAD[what]
    done = train(*given)
    assert done.code == 2, done
    (line,) = [line for line in done.err.splitlines() if "error: " in line]
    for word in words:
        assert word in line
    assert "Traceback" not in done.err
    assert not (here / ".nnlite").exists()


def test_a_search_of_ones_own_data_and_its_winner_trained_again(train, table, tmp_path, capfd):
    assert (
        run(tune.main, tune._parser(), ["--dataset", str(table), "--trials", "3", "--rounds", "3", "--out", "best"])
        == 0
    )
    capfd.readouterr()
    written = (tmp_path / "here" / "best.json").read_text()
    assert json.loads(written)["dataset"] == "Trees.csv"
    assert "secret" not in written
    assert result(train("--case", "best.json", "--dataset", table, "--rounds", 2, "--json"))["rounds"] == 2


def test_a_forecast_of_ones_own_data(table, capfd):
    assert run(simulate.main, simulate._parser(), ["--dataset", str(table), "--workers", "1", "--rounds", "1"]) == 0
    assert "\n" in capfd.readouterr().out


@pytest.mark.parametrize(("num_rows", "expected"), [(24, (200, 10)), (2_000, (64, 4)), (100_000, (10, 1))])
def test_small_data_is_gone_through_often_in_few_rounds(num_rows, expected):
    from nnlite import data

    half = np.arange(num_rows) % 2
    rows = data.from_arrays(RNG.normal(size=(num_rows, 2)), half, test=(RNG.normal(size=(4, 2)), half[:4]))
    case = cases.suited(cases.AUTO, rows)
    assert (case.num_rounds, case.epochs_per_round) == expected
    assert cases.suited(cases.CASES["c"], rows) is cases.CASES["c"]
