"""Data of one's own: tables, arrays and pictures become datasets, and what is wrong with them is one line."""

import csv
import io
import sys

import numpy as np
import pytest
from PIL import Image

from nnlite import data
from nnlite.data import inputs
from nnlite.errors import DataError, DataNotFound, NnliteError, RunError, UsageError

RNG = np.random.default_rng(0)
KINDS = ["oak", "ash", "elm"]


def trees(num_rows=60):
    """Rows of a table that has a column of each kind."""
    for row in range(num_rows):
        kind = row % 3
        yield [
            1000 + row,
            10 * kind + RNG.normal(),
            "true" if row % 2 else "false",
            ["wet", "dry"][row % 2],
            KINDS[kind],
        ]


NAMES = ["id", "height", "young", "soil", "kind"]


def text_of(rows, names=NAMES, **how):
    out = io.StringIO()
    csv.writer(out, **how).writerows([names, *rows])
    return out.getvalue()


@pytest.fixture
def table(tmp_path):
    def write(text=None, name="Trees of 2026.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else (text_of(trees()) if text is None else text).encode())
        return path

    return write


# ---- tables


def test_a_table_becomes_rows_of_which_each_column_is_standardized_or_one_of_its_texts(table):
    found = data.open(table(), ignore=["id"])
    assert (found.name, found.class_names) == ("trees-of-2026.csv", ("ash", "elm", "oak"))
    assert [(c.name, c.kind, c.width) for c in found.inputs.columns] == [
        ("height", "number", 1), ("young", "flag", 1), ("soil", "category", 2)
    ]  # fmt: skip
    assert found.input_shape == (4,)
    np.testing.assert_allclose(found.train.x[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(found.train.x[:, 0].std(), 1, atol=1e-5)
    assert np.unique(found.train.x[:, 2:].sum(axis=1)).tolist() == [1]
    assert abs(found.test.x[:, 0].mean()) < 1, "by the mean of the train split"


def test_the_split_is_stratified_and_loses_nothing(table):
    rows = list(trees(90))[:80]
    found = data.open(table(text_of(rows)), features=["id"], test=0.25)
    ids = np.concatenate([found.train.x[:, 0], found.test.x[:, 0]])
    assert len(np.unique(ids)) == len(rows)
    assert np.bincount(found.test.y).tolist() == [7, 6, 7], "a quarter of 27, 26 and 27"
    again = data.open(table(text_of(rows)), features=["id"], test=0.25)
    assert again.digest() == found.digest()


def test_new_rows_become_what_the_same_rows_were_in_training(table):
    rows = list(trees())
    found = data.open(table(text_of(rows)), ignore=["id"])
    encoded = found.inputs.rows([{name: row[place] for place, name in enumerate(NAMES)} for row in rows])
    there = {tuple(row) for row in np.round(np.concatenate([found.train.x, found.test.x]), 3).tolist()}
    assert {tuple(row) for row in np.round(encoded, 3).tolist()} == there
    np.testing.assert_array_equal(encoded, found.inputs.rows([row[1:4] for row in rows]))
    assert inputs.read(found.inputs.to_json()) == found.inputs


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([[1.0, "true"]], "row 0 has 2 cells, wanted 3: height, young, soil"),
        ([[1.0, "true", "wet"], ["tall", "true", "wet"]], "row 1: 'height': 'tall' is not a number"),
        ([[1.0, "perhaps", "wet"]], "row 0: 'young': 'perhaps' is not true or false"),
        ([[1.0, "true", "damp"]], "row 0: 'soil': 'damp' is not one of dry, wet"),
        ([[None, "true", "wet"]], "row 0: 'height' is missing, and this model was trained on rows that are whole"),
        ([[90000, "true", "wet"]], "row 0: 'height': 90000 is far outside .* the range of the data"),
        ([[float("inf"), "true", "wet"]], "row 0: 'height': 'inf' is not a finite number"),
        ([{"height": 1}], "row 0 has no 'young'"),
        (5, "an array .N, columns., a list of rows or a list of dicts"),
    ],
)
def test_rows_that_a_table_cannot_have_are_refused_in_one_line(row, words, table):
    found = data.open(table(), ignore=["id"])
    with pytest.raises(UsageError, match=words) as error:
        found.inputs.rows(row)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("target", ["target", "Label", "CLASS", "y"])
def test_the_target_is_the_column_that_is_called_so_or_the_last(target, table):
    rows = [[row[4], row[1]] for row in trees()]
    found = data.open(table(text_of(rows, [target, "height"])))
    assert (found.inputs.target, found.num_classes) == (target, 3)


def test_whole_numbers_are_classes_in_their_order(table):
    rows = [[RNG.normal(), 9 + 2 * (row % 2)] for row in range(20)]
    assert data.open(table(text_of(rows, ["a", "b"]))).class_names == ("9", "11")


@pytest.mark.parametrize(
    "how",
    [{"delimiter": ";"}, {"delimiter": "\t"}, {"delimiter": "|"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"}],
)
def test_other_forms_of_the_same_table_are_the_same_dataset(how, table):
    rows = list(trees())
    expected = data.open(table(text_of(rows))).digest()
    assert data.open(table(text_of(rows, **how))).digest() == expected
    marked = b"\xef\xbb\xbf" + text_of(rows, **how).replace("\n", "\n\n").encode()
    assert data.open(table(marked)).digest() == expected, "a byte order mark and empty lines change nothing"


def test_missing_cells_are_counted_filled_or_their_rows_dropped(table):
    rows = list(trees())
    rows[4][1] = rows[7][1] = rows[9][3] = ""
    path = table(text_of(rows))
    with pytest.raises(DataError, match=r"line 6: cells are missing .'height' 2, 'soil' 1.: missing='mean', or drop"):
        data.open(path)
    dropped = data.open(path, missing="drop")
    assert len(dropped.train) + len(dropped.test) == 57
    whole = [row for place, row in enumerate(rows) if place not in (4, 7, 9)]
    assert data.open(table(text_of(whole), "whole.csv")).digest() == dropped.digest()
    filled = data.open(path, missing="mean")
    assert len(filled.train) + len(filled.test) == 60
    np.testing.assert_array_equal(filled.inputs.rows([[1030, "", "true", ""]])[0, [1, 3, 4]], 0)


def test_a_table_of_many_blocks_keeps_rows_with_their_labels(table):
    rows = [[place, place % 2 * 7] for place in range(10_000)]
    found = data.open(table(text_of(rows, ["a", "b"])))
    column = found.inputs.columns[0]
    for split in (found.train, found.test):
        numbers = np.round(split.x[:, 0] * column.std + column.mean).astype(int)
        np.testing.assert_array_equal(numbers % 2, split.y)


GOOD = text_of(list(trees(12)))
DAMAGED = {
    "nothing": ("", "is empty"),
    "names alone": ("a,b\r\n", "has no rows"),
    "one column": ("a\r\n1\r\n", "line 1: one column, 'a'"),
    "a ragged row": (GOOD + "1,2,3\r\n", "line 14: 3 cells, expected 5"),
    "a long row": (GOOD + "1,2,true,wet,ash,6\r\n", "line 14: 6 cells, expected 5"),
    "no names": ("5.1,3.5,a\r\n4.9,3.0,b\r\n", "line 1: '5.1' is a number, and line 1 has to name the columns"),
    "a name twice": ("a,b,a\r\n1,2,3\r\n", "line 1: the name 'a' is there twice, of columns 1 and 3"),
    "no name": (",b,c\r\n0,2,x\r\n1,3,y\r\n", "line 1: column 1 has no name.* ignore='column1'"),
    "an open quote": (GOOD + '1,2,"true,wet,ash\r\n', "line 14: no row of a CSV file .*quote that does not end"),
    "a quote in a cell": (GOOD + '1,2,"tr"ue,wet,ash\r\n', "line 14: no row of a CSV file"),
    "a huge field": (GOOD + f'1,2,true,"{"x" * 200_000}",ash\r\n', "line 14: no row of a CSV file .*field"),
    "a huge line": (GOOD + "x" * 2_000_000, "line 14: longer than 1,000,000 bytes"),
    "NUL": (GOOD + "1,2,tr\0ue,wet,ash\r\n", "line 14: holds a NUL byte"),
    "Latin-1": ((GOOD + "1,2,true,wet,chêne\r\n").encode("latin-1"), "line 14: byte 0xea is no UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "line 1: this is UTF-16"),
    "a workbook": (b"PK\x03\x04 and so on", "is not a table of text, but a zip archive"),
    "old line ends": (GOOD.replace("\r\n", "\r"), "line 1: lines end in a lone carriage return"),
    "decimal commas": ("a;b\r\n1,5;x\r\n2,5;y\r\n3,5;x\r\n", "line 2: 'a': '1,5' has a decimal comma: write 1.5"),
    "a word among numbers": (GOOD.replace("1005", "many"), "line 7: 'id': 'many' is not a number"),
    "an infinity": (GOOD.replace("1005", "inf"), "line 7: 'id': 'inf' is not a finite number"),
    "NaN": (GOOD.replace("1005", "nan"), "line 7: cells are missing .'id' 1."),
    "no target": (GOOD + "1,2,true,wet,\r\n", "line 14: the target 'kind' is missing, once: missing='drop'"),
    "names of people": (
        text_of([[f"name {n}", n % 2] for n in range(50)], ["who", "y"]),
        "line 2: 'who' has 50 different texts in 50 rows: no category; ignore= it",
    ),
    "one class": (text_of([[n, "a"] for n in range(9)], ["x", "y"]), "'y': all rows have the same class a"),
    "as many classes as rows": (text_of([[n, f"c{n}"] for n in range(9)], ["x", "y"]), "9 different labels in 9 rows"),
    "one amount": (text_of([[n, 0.5] for n in range(9)], ["x", "y"]), "'y': all rows have the same amount 0.5"),
    "an empty column": (text_of([["", n % 2] for n in range(9)], ["x", "y"]), "line 2: cells are missing .'x' 9."),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_table_is_one_line_that_says_where(what, table):
    content, words = DAMAGED[what]
    path = table(content)
    with pytest.raises(DataError, match=words) as error:
        data.open(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"target": "age"}, "target: .* has no column 'age'; there are id, height"),
        ({"features": ["age"]}, "features: .* has no column 'age'"),
        ({"ignore": ["age"]}, "ignore: .* has no column 'age'"),
        ({"ignore": ["kind"]}, "nothing to predict 'kind' from, or it is ignored"),
        ({"features": ["id"], "ignore": ["soil"]}, "features and ignore both"),
        ({"missing": "skip"}, "missing 'skip': there are error, mean, drop"),
        ({"test": 0}, "test 0.*: wanted a share"),
        ({"test": 1.5}, "test 1.5: wanted a share"),
        ({"size": 32}, "size does nothing for a table"),
        ({"channels": 2}, "channels 2: wanted 1"),
        ({"target": 5}, "target: expected a text"),
    ],
)
def test_choices_that_cannot_be_meant_are_refused(choices, words, table):
    with pytest.raises(UsageError, match=words):
        data.open(table(), **choices)


# ---- arrays

X = RNG.integers(0, 256, (20, 6, 5), np.uint8)
LABELS = np.array(["b", "a"] * 10)


@pytest.mark.parametrize("x", [X, X.astype(int), X[:, None], X[:, None].repeat(3, axis=1).transpose(0, 2, 3, 1)])
def test_pixels_are_images_wherever_their_channels_are(x):
    found = data.from_arrays(x, LABELS)
    assert found.train.x.dtype == np.uint8
    assert found.input_shape in ((1, 6, 5), (3, 6, 5))
    assert found.inputs is None
    assert found.class_names == ("a", "b")
    np.testing.assert_allclose(found.mean, found.train.x.mean() / 255, rtol=1e-9)
    np.testing.assert_allclose(found.std, found.train.x.std() / 255, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i4", "f2"])
def test_other_numbers_are_standardized_by_the_train_split(dtype):
    x = (100 + 10 * RNG.normal(size=(50, 3))).astype(dtype)
    found = data.from_arrays(x, np.arange(50) % 2)
    np.testing.assert_allclose(found.train.x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.train.x.std(axis=0), 1, atol=1e-4)
    every = np.concatenate([found.train.x, found.test.x])
    there = {tuple(row) for row in every.tolist()}
    assert {tuple(row) for row in found.inputs.rows(x).tolist()} == there
    assert inputs.read(found.inputs.to_json()) == found.inputs
    with pytest.raises(UsageError, match=r"trained on numbers from .* must be on the same scale"):
        found.inputs.rows(x.astype(float) * 1000)


def test_arrays_in_files_are_the_same_dataset(tmp_path):
    expected = data.from_arrays(X, LABELS).digest()
    np.savez(tmp_path / "a.npz", Images=X, labels=LABELS)
    np.savez_compressed(tmp_path / "b.npz", x=X, y=LABELS)
    for name, array in (("x", X), ("y", LABELS)):
        (tmp_path / "c").mkdir(exist_ok=True)
        np.save(tmp_path / "c" / f"{name}.npy", array)
    assert {data.open(tmp_path / name).digest() for name in ("a.npz", "b.npz", "c")} == {expected}
    np.savez(tmp_path / "d.npz", x_train=X[:14], y_train=LABELS[:14], x_test=X[14:], y_test=LABELS[14:])
    split = data.open(tmp_path / "d.npz")
    np.testing.assert_array_equal(split.test.x[:, 0], X[14:])
    assert split.digest() == data.from_arrays(X[:14], LABELS[:14], test=(X[14:], LABELS[14:])).digest()
    with pytest.raises(UsageError, match=r"test does nothing for .*d.npz, which has a test split"):
        data.open(tmp_path / "d.npz", test=0.5)


def test_given_names_of_classes_are_those_of_the_numbers():
    found = data.from_arrays(X, np.arange(20) % 2, class_names=["no", "yes"])
    assert found.class_names == ("no", "yes")
    with pytest.raises(DataError, match="with 2 names of classes, labels are 0 to 1"):
        data.from_arrays(X, np.arange(20) % 3, class_names=["no", "yes"])


WRONG = {
    "too few labels": (lambda: data.from_arrays(X, LABELS[:5]), "one label for each of 20 rows"),
    "fractions of classes": (
        lambda: data.from_arrays(X, np.arange(20) / 3, task="classes"),
        "of no classes, but amounts",
    ),
    "texts as amounts": (lambda: data.from_arrays(X, LABELS, task="amounts"), "<U1 are no amounts"),
    "no amount": (
        lambda: data.from_arrays(X, np.where(np.arange(20) == 7, np.inf, 0.5)),
        "inf in row 7, counted from 0",
    ),
    "one class": (lambda: data.from_arrays(X, np.zeros(20, int)), "all rows have the same class 0"),
    "classes like rows": (lambda: data.from_arrays(X, np.arange(20)), "20 different labels in 20 rows"),
    "NaN": (lambda: data.from_arrays(np.where(X > 200, np.nan, X), LABELS), "holds nan"),
    "texts": (lambda: data.from_arrays(LABELS[:, None], LABELS), "wanted numbers, found <U1"),
    "ragged": (lambda: data.from_arrays([[1, 2], [3]], [0, 1]), "x is no array"),
    "no rows": (lambda: data.from_arrays(X[:0], LABELS[:0]), "wanted rows .* found .0, 6, 5."),
    "one dimension": (lambda: data.from_arrays(np.arange(20), LABELS), "wanted rows .N, D., .* found .20,"),
    "a class of the test alone": (
        lambda: data.from_arrays(X[:10], LABELS[:10], test=(X[10:], np.array(["a", "c"] * 5))),
        r"the test split has classes \['c'\] that the train split has not",
    ),
    "another shape": (lambda: data.from_arrays(X, LABELS, test=(X[:, :5], LABELS)), "wanted the same"),
}


@pytest.mark.parametrize("what", WRONG)
def test_arrays_that_do_not_fit_are_refused_in_one_line(what):
    make, words = WRONG[what]
    with pytest.raises(DataError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


FLOATS = np.random.default_rng(1).normal(size=(20, 3))
MASKED = np.ma.masked_array(FLOATS, mask=np.zeros(FLOATS.shape, bool))
MASKED[3, 1] = MASKED[5, 0] = np.ma.masked


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (MASKED, LABELS),
        (list(MASKED), LABELS),
        (FLOATS, np.ma.masked_array(np.arange(20) % 2, mask=np.arange(20) < 2)),
    ],
    ids=["x", "rows of x", "y"],
)
def test_masked_cells_are_counted_and_never_taken_for_what_lies_under_the_mask(x, y):
    with pytest.raises(DataError, match="2 of its cells are masked") as error:
        data.from_arrays(x, y)
    assert "\n" not in str(error.value)
    nothing = np.ma.masked_array(FLOATS)
    assert np.array_equal(data.from_arrays(nothing, LABELS).train.x, data.from_arrays(FLOATS, LABELS).train.x)


@pytest.mark.parametrize("start", [2**53, -(2**53) - 240, 2**24, 0])
def test_whole_numbers_stay_apart_or_are_refused(start):
    x, y = np.arange(start, start + 240)[:, None], np.arange(240) % 2
    if abs(start) < 2**53:
        made = data.from_arrays(x, y)
        assert len(np.unique(np.concatenate([made.train.x, made.test.x]))) == 240
    else:
        for given in ((x, y), (y[:, None], x[:, 0])):
            with pytest.raises(DataError, match=r"beyond 2\*\*53") as error:
                data.from_arrays(*given, task="amounts")
            assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("cell", "words"),
    [("1e300", "is not a finite number"), (str(2**53 + 7), "is beyond 2..53"), (str(-(2**60)), "is beyond 2..53")],
)
def test_cells_that_a_table_could_not_hold_are_refused_with_their_line(cell, words, table):
    rows = [[cell if row == 3 else row, KINDS[row % 2]] for row in range(40)]
    with pytest.raises(DataError, match=f"line 5: 'size': '{cell.replace('+', '.')}' {words}"):
        data.open(table(text_of(rows, ["size", "kind"])))
    made = data.open(table(text_of([[2**52 + row, KINDS[row % 2]] for row in range(40)], ["size", "kind"])))
    assert len(np.unique(np.concatenate([made.train.x, made.test.x]))) == 40
    with pytest.raises(UsageError, match=f"row 0: 'size': '{cell.replace('+', '.')}' {words}"):
        made.inputs.rows([[cell]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
def test_numbers_whose_squares_are_none_are_named_as_they_were_given(dtype):
    x = FLOATS.astype(dtype)
    x[3, 1] = 1e300
    with pytest.raises(DataError, match=r"1e\+300 in row 3, column 1, counted from 0"):
        data.from_arrays(x, LABELS, test=(x, LABELS))
    with pytest.raises(DataError, match=r"1e\+300 in row 3, counted from 0"):
        data.from_arrays(FLOATS, x[:, 1], task="amounts")


def test_damaged_files_of_arrays_are_refused_in_one_line(tmp_path):
    np.savez(tmp_path / "good.npz", x=X, y=LABELS)
    good = (tmp_path / "good.npz").read_bytes()
    np.savez(tmp_path / "odd.npz", a=X, b=LABELS)
    np.savez(tmp_path / "more.npz", x=X, y=LABELS, weights=X)
    np.savez(tmp_path / "objects.npz", x=X, y=np.array([{"a": 1}] * 20, object))
    np.save(tmp_path / "alone.npy", X)
    (tmp_path / "cut.npz").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.npz").write_text("hello")
    flipped = bytearray(good)
    flipped[good.index(X.tobytes()[:20]) + 3] ^= 1
    (tmp_path / "flipped.npz").write_bytes(flipped)
    for name, words in {
        "odd.npz": "wanted arrays x and y, .* found a, b: name them so",
        "more.npz": "nothing is known of its 'weights' beside x, y",
        "objects.npz": "array 'y': .*could run code",
        "alone.npy": "is one array: x and y are wanted",
        "cut.npz": "damaged or no NumPy file",
        "text.npz": "damaged or no NumPy file",
        "flipped.npz": "damaged or no NumPy file",
    }.items():
        with pytest.raises(DataError, match=words) as error:
            data.open(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))
        assert "\n" not in str(error.value)


# ---- amounts


@pytest.mark.parametrize(
    ("y", "task", "are_amounts"),
    [
        (np.arange(60) / 7, None, True),
        (np.arange(60) * 1.0, None, True),
        (np.arange(60) % 3 * 1.0, None, False),
        (np.arange(60) % 3 * 1.0, "amounts", True),
        (np.arange(60) % 3, "amounts", True),
        (np.arange(60) % 15, "classes", False),
    ],
)
def test_numbers_with_fractions_or_many_values_are_amounts_unless_it_is_said(y, task, are_amounts, table):
    x = RNG.normal(size=(60, 2))
    rows = [[*row, target] for row, target in zip(x.tolist(), y.tolist(), strict=True)]
    in_memory = data.from_arrays(x, y, task=task)
    for found in (
        in_memory,
        data.open(table(text_of(rows, ["a", "b", "c"])), **({} if task is None else {"task": task})),
    ):
        assert (found.amounts is not None) == are_amounts
        assert (found.num_classes == 0) == are_amounts
        assert (found.train.y.dtype == np.float32) == are_amounts
        if are_amounts:
            assert found.class_names == ()
            np.testing.assert_allclose([found.train.y.mean(), found.train.y.std()], [0, 1], atol=1e-5)
            every = np.concatenate([found.train.y, found.test.y])
            np.testing.assert_allclose(np.sort(found.amounts.restored(every)), np.sort(y), rtol=1e-5, atol=1e-5)
    assert data.from_arrays(x[:40], y[:40], task=task, test=(x[40:], y[40:])).num_classes == in_memory.num_classes


def test_amounts_in_a_shard_stay_what_they_are():
    split = data.from_arrays(RNG.normal(size=(20, 2)), RNG.normal(size=20)).train
    key = data.shards.key("a", "0" * 16, "train", 1, 0)
    found = data.shards.decode(data.shards.encode(split, key), key)
    np.testing.assert_array_equal(found.y, split.y)


# ---- pictures


def picture(value, size=(12, 10), mode="RGB"):
    color = {"RGB": (value, 255 - value, 0), "L": value, "RGBA": (value, 0, 0, 0)}[mode]
    return Image.new(mode, size, color)


@pytest.fixture
def flowers(tmp_path):
    folder = tmp_path / "Flowers"
    for name, value in (("rose", 200), ("aster", 40)):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            picture(value + number).save(folder / name / f"{number}.png")
    return folder


def test_a_folder_for_each_class_becomes_pictures_in_the_order_of_their_names(flowers):
    (flowers / "rose" / ".DS_Store").write_text("of a file manager")
    found = data.open(flowers)
    assert (found.name, found.class_names, found.input_shape) == ("flowers", ("aster", "rose"), (3, 10, 12))
    assert (len(found.train), len(found.test)) == (8, 2)
    every = {
        (int(x[0, 0, 0]), int(y)) for split in (found.train, found.test) for x, y in zip(split.x, split.y, strict=True)
    }
    assert every == {(200 + n, 1) for n in range(5)} | {(40 + n, 0) for n in range(5)}


def test_pictures_of_several_sizes_and_modes_become_alike(flowers):
    picture(200, (70, 90), "L").convert("P").save(flowers / "rose" / "5.gif")
    picture(200, (31, 31)).save(flowers / "rose" / "6.jpg")
    clear = picture(0, (40, 40), "RGBA")
    clear.save(flowers / "rose" / "7.png")
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(flowers / "rose" / "8.png")
    found = data.open(flowers)
    assert found.input_shape == (3, 32, 32)
    white = [x for split in (found.train, found.test) for x in split.x if x.min() == 255]
    assert len(white) == 1, "what is transparent is white"
    assert data.open(flowers, size=8, channels=1).input_shape == (1, 8, 8)


def test_a_folder_with_train_and_test_keeps_them(flowers, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    flowers.rename(whole / "train")
    for name in ("aster", "rose"):
        (whole / "test" / name).mkdir(parents=True)
        picture(99).save(whole / "test" / name / "a.png")
    found = data.open(whole)
    assert (len(found.train), len(found.test), found.test.y.tolist()) == (10, 2, [0, 1])
    with pytest.raises(UsageError, match="which has a test split"):
        data.open(whole, test=0.5)
    (whole / "test" / "lily").mkdir()
    picture(99).save(whole / "test" / "lily" / "a.png")
    with pytest.raises(DataError, match="have to have the same classes; only one has 'lily'"):
        data.open(whole)


def spoil_text(flowers):
    (flowers / "rose" / "2.png").write_text("not a picture")


def spoil_cut(flowers):
    noise = Image.fromarray(RNG.integers(0, 256, (50, 50, 3), np.uint8))
    noise.save(flowers / "rose" / "2.png")
    whole = (flowers / "rose" / "2.png").read_bytes()
    (flowers / "rose" / "2.png").write_bytes(whole[: len(whole) // 2])


def spoil_notes(flowers):
    (flowers / "rose" / "notes.txt").write_text("mine")


def spoil_empty(flowers):
    (flowers / "iris").mkdir()


def spoil_single(flowers):
    for path in (flowers / "aster").iterdir():
        path.unlink()
    (flowers / "aster").rmdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_text, r"rose/2.png cannot be read as a picture \(it is none, or damaged\)"),
        (spoil_cut, r"rose/2.png cannot be read as a picture \(.*truncated"),
        (spoil_notes, "rose/notes.txt is no picture"),
        (spoil_empty, "iris holds no picture"),
        (spoil_single, "all rows have the same class rose"),
    ],
)
def test_a_damaged_folder_of_pictures_is_one_line_that_names_the_file(spoil, words, flowers):
    spoil(flowers)
    with pytest.raises(DataError, match=words) as error:
        data.open(flowers)
    assert "\n" not in str(error.value)


def test_a_picture_that_would_be_huge_is_refused(flowers, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="exceeds limit"):
        data.open(flowers)


def test_pillow_is_named_where_it_is_missing(flowers, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(NnliteError, match=r"pip install 'nnlite-serverless\[pictures\]'"):
        data.open(flowers)


def test_what_is_not_there_or_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(DataNotFound, match="no file or folder"):
        data.open(tmp_path / "none.csv")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="is none of what is known here: a table"):
        data.open(tmp_path / "a.xlsx")


def test_a_pillow_that_does_not_load_is_quoted(tmp_path, monkeypatch):
    """It may be installed, and lack a library of the system: to install it again would not help."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(10):
            (tmp_path / name / f"{number}.png").write_bytes(b"x")
    with pytest.raises(RunError, match=r"pictures are read by Pillow \(.*PIL.*\): pip install"):
        data.open(tmp_path)
