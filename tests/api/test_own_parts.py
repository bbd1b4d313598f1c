"""Networks, arrays and code of one's own, on worker processes."""

import linecache

import numpy as np
import pytest

import nnlite
from nnlite import nn
from nnlite.api import code
from nnlite.errors import NnliteError, RunError, UsageError
from tests.api.cells import HALVED, IMPORTS, SQUASH, Notebook

TWO = nnlite.Local(processes=2)
HERE = nnlite.Local(processes=0)
S = 120.0


def network(*layers, loss=None):
    more = {} if loss is None else {"loss": loss}
    return nn.Sequential((nn.Dense(16), *layers, nn.Dense(2)), (4,), **more)


def both(net, rows):
    """The same run in processes and in this one: the bytes of both."""
    choices = {"workers": 2, "rounds": 2, "store": "st"}
    far = nnlite.train(net, rows, platform=TWO, **choices)
    return far, nnlite.train(net, rows, platform=HERE, **choices)


def test_arrays_and_a_network_of_one_s_own(pairs):
    run = nnlite.train(network(nn.Tanh()), pairs, workers=2, epochs=60, learning_rate=0.02)
    assert run.spec.case_file is None
    assert run.history["test_accuracy"][-1] > 0.8
    assert run.model.predict(pairs[0][:3].astype(np.float32)).shape == (3, 2)


def test_a_function_makes_the_network_for_shape_and_classes(pairs):
    asked = []

    def mine(shape, num_classes):
        asked.append((shape, num_classes))
        return nn.Sequential((nn.Dense(num_classes),), shape)

    plan = nnlite.plan(mine, pairs, test=0.25)
    assert set(asked) == {((4,), 2)}
    assert plan.spec.case == "mine"
    assert (plan.spec.data.num_train, plan.spec.data.num_test) == (300, 100)


def test_classes_of_cells_go_to_worker_processes_as_text(notebook, pairs):
    space = notebook.run(SQUASH)
    notebook.run(HALVED)
    far, here = both(network(space["Squash"](1.25), loss=space["Halved"]()), pairs)
    assert far.model.weights.tobytes() == here.model.weights.tobytes()
    written = code.folder() / far.spec.case_file.name
    text = written.read_text()
    for part in ("BEND = 1.5", "def bent(x):", "class Squash(nn.Layer):", "class Halved(nn.SoftmaxCrossEntropy):"):
        assert part in text
    assert text.index("def bent") < text.index("class Squash")


def test_a_cell_that_ran_again_is_sent_as_it_is_now(notebook, pairs):
    notebook.run(SQUASH)
    before = nnlite.plan(network(notebook.space["Squash"]()), pairs)
    notebook.run(SQUASH.replace("BEND = 1.5", "BEND = 1.25").replace("gain: float = 1.0", "gain: float = 2.0"))
    after = nnlite.plan(network(notebook.space["Squash"]()), pairs)
    assert before.spec.case_file != after.spec.case_file
    assert "BEND = 1.25" in (code.folder() / after.spec.case_file.name).read_text()


def test_names_of_functions_are_not_those_of_the_notebook(notebook, pairs):
    """A local variable may have the name of an array of the notebook's."""
    notebook.space.update(x=pairs[0], y=pairs[1], ws=open)
    space = notebook.run(SQUASH)
    assert nnlite.plan(network(space["Squash"]()), pairs).spec.case_file is not None


TABLE = """
TABLE = np.ones(3)
LIMITS = {"low": (-1.0, float("inf")), "names": ["a", None, True]}
@dataclass(frozen=True)
class Uses(nn.Layer):
    def forward(self, p, x, ws):
        return WHAT
"""


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        ("x + TABLE[0]", "TABLE, which Uses uses, is a value of type ndarray"),
        ("opened.read()", "opened, which Uses uses, is a value of type"),
        ("quick(x)", "quick, which Uses uses, is a lambda: write it as a def"),
    ],
)
def test_what_cannot_travel_is_refused_in_a_line_that_names_it(uses, words, notebook, pairs, tmp_path):
    with open(tmp_path / "file", "w") as opened:
        notebook.space.update(opened=opened)
        notebook.run("quick = lambda x: x")
        space = notebook.run(TABLE.replace("WHAT", uses))
        with pytest.raises(UsageError) as refused:
            nnlite.plan(network(space["Uses"]()), pairs)
    assert words in str(refused.value)
    assert "nnlite.Local(processes=0)" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert nnlite.plan(network(space["Uses"]()), pairs, platform=HERE).spec.case_file is None


def test_plain_constants_travel(notebook, pairs):
    space = notebook.run(TABLE.replace("WHAT", "x * LIMITS['low'][0]"))
    plan = nnlite.plan(network(space["Uses"]()), pairs)
    text = (code.folder() / plan.spec.case_file.name).read_text()
    assert "LIMITS = {'low': (-1.0, float('inf')), 'names': ['a', None, True]}" in text


def test_a_closure_is_refused_by_the_name_it_closes_over(notebook, pairs):
    inner = "\n".join("    " + line for line in SQUASH.replace("BEND = 1.5", "").splitlines())
    space = notebook.run(f"def make(BEND):\n{inner}\n    return Squash\nmade = make(2.0)")
    with pytest.raises(UsageError, match="of the function that it is defined in"):
        nnlite.plan(network(space["made"]()), pairs)


def test_typed_code_without_text_is_refused(pairs):
    other = Notebook()
    other.run(IMPORTS)
    other.run(SQUASH)
    for key in [key for key in linecache.cache if f"ipykernel_{id(other)}" in key]:
        del linecache.cache[key]
    with pytest.raises(UsageError, match="the text of Squash is not known"):
        nnlite.plan(network(other.space["Squash"]()), pairs)


FAILING = SQUASH.replace("class Squash", "class Failing").replace(
    "        y = ws.output(x.shape)\n", "        y = ws.output(x.shape)\n        raise IndexError('of the layer')\n"
)


@pytest.mark.parametrize("how", ["train", "start"])
def test_an_error_in_a_worker_reaches_the_caller_with_the_worker_s_traceback(how, notebook, pairs):
    space = notebook.run(FAILING)
    with pytest.raises(RunError, match="IndexError: of the layer") as failed:
        getattr(nnlite, how)(network(space["Failing"]()), pairs, workers=2, platform=TWO).wait(S)
    where = str(failed.value.__cause__)
    assert "Traceback (most recent call last)" in where
    assert "in forward" in where
    assert "raise IndexError('of the layer')" in where
    run = nnlite.attach(nnlite.list_runs()[0].id)
    assert run.status().state == "FAILED"
    with pytest.raises(RunError, match="of the layer"):
        run.wait(S)


def test_a_run_with_own_code_goes_on_where_the_same_is_defined(notebook, pairs):
    space = notebook.run(SQUASH)
    plan = nnlite.plan(network(space["Squash"]()), pairs, workers=2, rounds=2)
    run = plan.begin()
    code.adopt.__globals__["_has_run"].clear()  # as in a fresh process
    assert nnlite.attach(run.name).resume().wait(S).status().state == "DONE"
    notebook.run(SQUASH.replace("BEND = 1.5", "BEND = 9.0"))
    code.adopt.__globals__["_has_run"].clear()
    again = nnlite.attach(run.name)
    assert again.status().state == "DONE"
    with pytest.raises(UsageError, match=r"has layers .* define them as they were, or name the file"):
        _ = again.model
    file = str(code.folder() / run.spec.case_file.name)
    assert nnlite.attach(run.name, case=file).model.weights.size
    run.save("own.safetensors")
    assert nnlite.load("own.safetensors", case=file).about["case_file"] == run.spec.case_file.name


def test_workers_on_this_machine_do_not_run_the_script_again(tmp_path, pairs):
    import subprocess
    import sys

    script = IMPORTS + SQUASH + (
        "import nnlite\nprint('ran')\n"
        "x = np.random.default_rng(0).normal(size=(200, 4)); y = (x[:, 0] > 0).astype(int)\n"
        "net = nn.Sequential((nn.Dense(8), Squash(), nn.Dense(2)), (4,))\n"
        "print(nnlite.train(net, (x, y), workers=2, rounds=2, platform=nnlite.Local(processes=2)).status().state)\n"
    )  # fmt: skip
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ran", "DONE"]


# ---- arrays


def test_labels_of_any_kind_become_classes_and_each_has_its_share(pairs):
    x = pairs[0]
    y = np.repeat(["b", "a", "c"], [300, 80, 20])
    dataset = nnlite.plan(lambda shape, k: nn.Sequential((nn.Dense(k),), shape), (x, y), test=0.1).dataset
    assert dataset.class_names == ("a", "b", "c")
    assert np.bincount(dataset.test.y).tolist() == [8, 30, 2]
    assert np.bincount(dataset.train.y).tolist() == [72, 270, 18]


def test_arrays_are_split_in_one_way_whatever_the_seed(pairs):
    mine = nnlite.data.from_arrays(*pairs).digest()
    assert {nnlite.plan(network(), pairs, seed=seed).spec.data.digest for seed in (1, 2)} == {mine}


def test_grey_pictures_and_their_constants():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 5, 5), np.uint8), np.arange(60) % 3 + 10
    dataset = nnlite.plan(
        lambda shape, k: nn.Sequential((nn.Flatten(), nn.Dense(k)), shape), (x, y), test=(x[:9], y[:9])
    ).dataset
    assert dataset.input_shape == (1, 5, 5)
    assert dataset.mean[0] == pytest.approx(x.mean() / 255)
    assert dataset.std[0] == pytest.approx(x.std() / 255)
    assert dataset.test.y.tolist() == [0, 1, 2] * 3


def test_labels_of_minus_and_plus_one_stay_targets_for_one_output(pairs):
    y = np.where(pairs[1] == "same", 1, -1)
    net = nn.Sequential((nn.Dense(1),), (4,), nn.Hinge())
    assert nnlite.plan(net, (pairs[0], y)).dataset.num_classes == 1


X, Y = np.zeros((10, 4), np.float32), np.arange(10) % 2


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ((X, Y[:9]), {}, "wanted one label for each of 10 rows"),
        ((X, np.zeros(10, int)), {}, "there is nothing to learn"),
        ((np.full((10, 4), "a"), Y), {}, "x: wanted numbers"),
        (X, {}, "or (x, y), two arrays with a row each a sample, found ndarray"),
        ((X, Y), {"test": 1.5}, "test 1.5: wanted"),
        ((X, Y), {"test": (X, Y + 1)}, "the test split has classes [2] that the train split has not"),
        ((X, Y), {"test": (X[:, :3], Y)}, "rows of train are (4,) float32, of test (3,) float32"),
        ((X[:, :3], Y), {}, "the network takes rows of (4,)"),
        ((np.full((10, 4), np.nan), Y), {}, "x of train holds nan"),
    ],
)
def test_arrays_that_cannot_be_meant_are_one_line(rows, more, words):
    with pytest.raises(NnliteError) as refused:
        nnlite.plan(network(), rows, **more)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_model_takes_the_rows_as_they_were_given(pairs):
    """Numbers of any size are standardized for the network, by the model, too."""
    x, y = pairs[0] * [1, 1000, 1, 0.001] + 50, pairs[1]
    run = nnlite.train(network(nn.Tanh()), (x, y), epochs=60, learning_rate=0.02)
    labels = run.model.predict_labels(x)
    assert np.mean(labels == y) > 0.8
    run.save("pairs.safetensors")
    assert np.array_equal(nnlite.load("pairs.safetensors").predict_labels(x), labels)


def test_data_alone_have_a_case_that_suits_them(pairs, tmp_path):
    assert nnlite.plan(dataset=pairs).spec.data.num_train == 320
    (tmp_path / "mine.csv").write_text("a,b,kind\n" + "".join(f"{i},{i * i},{'xy'[i % 2]}\n" for i in range(40)))
    plan = nnlite.plan(dataset="mine.csv")
    assert plan.spec.data.class_names == ("x", "y")
    with pytest.raises(UsageError, match="name a case, or give a network, or a dataset alone"):
        nnlite.plan()
