"""`predict`: what a model says of new tables, arrays and pictures; and `data check` of one's own."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import nnlite
from nnlite import nn
from nnlite.commands import data as data_command
from nnlite.commands import predict
from nnlite.commands.program import run
from nnlite.data.inputs import Column, Numbers, Table
from nnlite.data.values import PIXELS
from tests.tools.documented import check

RNG = np.random.default_rng(0)
TABLE = Table(
    (Column("height", "number", 10.0, 2.0, 0.0, 20.0), Column("soil", "category", texts=("dry", "wet"))), "kind"
)


def model(name, network, weights=None, **known):
    made = nnlite.TrainedModel(network, network.empty(), (0.0,), (1.0,), {}, **known)
    for tensor, values in (weights or {}).items():
        network.layout.views(made.weights)[tensor][:] = values
    nnlite.save(name, made)


@pytest.fixture
def trees():
    """Tall trees are oaks, by a logistic curve of their height."""
    network = nn.Sequential([nn.Dense(2)], (3,))
    model("trees.st", network, {"dense1/weight": [[-1, 1], [0, 0], [0, 0]]}, classes=("ash", "oak"), inputs=TABLE)
    with open("new.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [["soil", "height", "kind"], ["wet", 14, "oak"], ["dry", 4, "ash"], ["dry", 12, "ash"]]
        )
    return "trees.st"


@pytest.fixture
def flowers(tmp_path):
    """Pictures that are red are poppies."""
    network = nn.Sequential([nn.Flatten(), nn.Dense(2)], (3, 4, 4))
    weight = np.zeros((48, 2), np.float32)
    weight[:16, 0], weight[32:, 1] = 1, 1
    model("flowers.st", network, {"dense1/weight": weight}, classes=("poppy", "violet"), values=PIXELS)
    for name, color in (("poppy", (200, 10, 20)), ("violet", (90, 10, 180))):
        folder = tmp_path / "here" / "new" / name
        folder.mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (9, 7), color).save(folder / f"{number}.png")
    return "flowers.st"


@pytest.fixture
def call(capfd):
    def call(*argv, command=predict):
        capfd.readouterr()
        code = run(command.main, command._parser(), [str(one) for one in argv])
        return code, *capfd.readouterr()

    return call


def test_the_rows_of_a_table_in_any_order_of_columns(trees, call):
    code, out, err = call(trees, "new.csv")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["new.csv:2  oak 0.9820", "new.csv:3  ash 0.9975", "new.csv:4  oak 0.8808"]
    code, out, _ = call(trees, "new.csv", "--top", 2, "--json")
    assert check("tools.predict", out) == {"answer"}
    first = json.loads(out.splitlines()[0])
    assert [one["label"] for one in first["top"]] == ["oak", "ash"]
    assert sum(one["probability"] for one in first["top"]) == pytest.approx(1)


def test_how_good_the_answers_are(trees, call):
    code, out, err = call(trees, "new.csv", "--evaluate")
    assert (code, err) == (0, "")
    assert out.startswith("accuracy 0.6667 of 3 rows, log loss ")
    code, out, _ = call(trees, "new.csv", "--evaluate", "--json")
    assert check("tools.predict", out) == {"scores"}
    assert json.loads(out)["confusion"] == [[1, 1], [0, 1]]


def test_pictures_and_folders_of_them(flowers, call):
    code, out, _ = call(flowers, "new/violet/1.png", "new/poppy")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["new/violet/1.png", "violet"], ["new/poppy/0.png", "poppy"], ["new/poppy/1.png", "poppy"]
    ]  # fmt: skip
    assert call(flowers, "new", "--evaluate")[1].startswith("accuracy 1.0000 of 4 rows")


def test_arrays_of_pixels_and_of_numbers(flowers, call):
    x = RNG.integers(0, 256, (5, 4, 4, 3), np.uint8)
    y = nnlite.load(flowers).predict_labels(x)
    np.savez("a.npz", x=x, y=y)
    np.save("b.npy", x / 255)
    assert call(flowers, "a.npz", "--evaluate")[1].startswith("accuracy 1.0000 of 5 rows")
    by_integers = [line.split()[1] for line in call(flowers, "a.npz")[1].splitlines()]
    by_floats = [line.split()[1] for line in call(flowers, "b.npy", "--scale", "0..1")[1].splitlines()]
    assert by_integers == by_floats == y.tolist()
    model("n.st", nn.Sequential([nn.Dense(2)], (3,)), inputs=Numbers((5.0,) * 3, (2.0,) * 3, 0.0, 9.0))
    np.save("n.npy", np.full((2, 3), 5.0))
    assert call("n.st", "n.npy")[1].splitlines() == ["n.npy:0  0 0.5000", "n.npy:1  0 0.5000"]


def test_a_model_without_probabilities_says_its_outputs(call):
    model("m.st", nn.Sequential([nn.Dense(1)], (2,), nn.HalfSquaredError()), {"dense1/bias": -3})
    np.save("m.npy", np.zeros((1, 2), np.float32))
    assert call("m.st", "m.npy")[1] == "m.npy:0  -1 -3.0000\n"
    code, _, err = call("m.st", "m.npy", "--evaluate")
    assert (code, err.startswith("error: a model with a single output")) == (2, True)


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    return name


WRONG = {
    "no model": (lambda: ("gone.st", "new.csv"), "gone.st"),
    "a model that is none": (lambda: ("new.csv", "new.csv"), "new.csv is not a sound safetensors file"),
    "no file": (lambda: ("trees.st", "gone.csv"), "no file or folder gone.csv"),
    "no column": (lambda: ("trees.st", write("a.csv", "soil,b\nwet,1\n")), "a.csv, line 1: no column 'height'"),
    "a wrong cell": (
        lambda: ("trees.st", write("a.csv", "soil,height\nwet,1\nwet,x\n")),
        "a.csv, line 3: 'height': 'x' is not a number",
    ),
    "a text that is new": (
        lambda: ("trees.st", write("a.csv", "soil,height\nbog,1\n")),
        "line 2: 'soil': 'bog' is not one",
    ),
    "a missing cell": (lambda: ("trees.st", write("a.csv", "soil,height\nwet,\n")), "line 2: 'height' is missing"),
    "another scale": (lambda: ("trees.st", write("a.csv", "soil,height\nwet,4000\n")), "far outside 0 to 20"),
    "a ragged row": (lambda: ("trees.st", write("a.csv", "soil,height\nwet\n")), "a.csv, line 2: 1 cells, expected 2"),
    "no rows": (lambda: ("trees.st", write("a.csv", "soil,height\n")), "a.csv has no rows"),
    "no label": (lambda: ("trees.st", write("a.csv", "soil,height\nwet,1\n"), "--evaluate"), "needs a column 'kind'"),
    "a label that is new": (
        lambda: ("trees.st", write("a.csv", "soil,height,kind\nwet,1,elm\n"), "--evaluate"),
        "'elm' is no class of this model; there are ash, oak",
    ),
    "a picture for a table": (lambda: ("trees.st", "new/poppy/0.png"), "this model answers rows of a table"),
    "a table for pictures": (lambda: ("flowers.st", "new.csv"), "new.csv cannot be read as a picture"),
    "a folder of none": (lambda: ("flowers.st", "."), "holds no pictures"),
    "another class": (lambda: ("flowers.st", "other", "--evaluate"), "'other' is no class"),
    "no answers": (lambda: ("trees.st", "new.csv", "--top", 0), "--top 0: wanted at least 1"),
    "both": (lambda: ("trees.st", "new.csv", "--top", 2, "--evaluate"), "--top is for answers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_with_its_file(what, trees, flowers, call, tmp_path):
    if what == "a folder of none":
        for path in (tmp_path / "here" / "new").rglob("*.png"):
            path.unlink()
    if what == "another class":
        (tmp_path / "here" / "new" / "poppy").rename(tmp_path / "here" / "new" / "other")
    argv, words = WRONG[what]
    given = argv()
    code, out, err = call(*(("new" if one == "other" else one) for one in given))
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_check_says_what_was_understood(call):
    write("trees.csv", "height,soil,kind\n" + "1.5,wet,oak\n2.5,dry,ash\n3.5,dry,ash\n" * 4)
    code, out, err = call("check", "trees.csv", command=data_command)
    assert (code, err) == (0, "")
    assert "class_names           ash oak" in out
    assert "  height: number, 1.5 to 3.5, mean " in out
    assert "  soil: category, one of dry, wet" in out
    code, out, _ = call("check", "trees.csv", "--target", "soil", "--json", command=data_command)
    assert check("tools.data", out) == {"checked"}
    assert json.loads(out)["class_names"] == ["dry", "wet"]
    code, _, err = call("check", "trees.csv", "--target", "age", command=data_command)
    assert (code, err.startswith("error: --target: trees.csv has no column 'age'")) == (2, True)
    code, _, err = call("check", "fashion-sample", "--target", "age", command=data_command)
    assert (code, err.startswith("error: --target is for a file or folder of your own")) == (2, True)
