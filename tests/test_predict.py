"""`model.predict`: the same rows give the same answer in whatever form they come, or a line that names the range."""

import json
import re

import numpy as np
import pytest

import nnlite
from nnlite import data, nn, weights
from nnlite.data import Values
from nnlite.errors import StructureError, UsageError
from nnlite.runs import lifecycle
from nnlite.store.memory import MemoryStore
from tests.runtime import small

NETWORK = nn.Sequential([nn.Flatten(), nn.Dense(8), nn.Tanh(), nn.Dense(4)], (3, 4, 5))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
X = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5), np.uint8)


@pytest.fixture
def model():
    vector = NETWORK.init(np.random.default_rng(0))
    return nnlite.TrainedModel(NETWORK, vector, MEAN, STD, {}, data.values.PIXELS)


@pytest.fixture
def expected(model):
    """By the definition, in float64."""
    scaled = (X / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    return NETWORK.predict(model.weights, scaled.astype(np.float32))


INTEGERS = ["u1", "<u2", ">u2", "<i2", ">i2", "<u4", "<i4", ">i4", "<u8", "<i8", ">i8"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "g"]


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_pixels_of_any_dtype_and_byte_order_are_the_same_pixels(dtype, model, expected):
    found = model.predict(X.astype(dtype))
    np.testing.assert_array_equal(found, model.predict(X))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "Fortran's order": np.asfortranarray,
    "every other of twice as many": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed twice": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "turned from (N, H, W, C)": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "read only": read_only,
    "not aligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "a list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4"])
def test_layout_and_contiguity_do_not_matter(layout, dtype, model):
    rows = LAYOUTS[layout](X.astype(dtype))
    before = np.array(rows)
    np.testing.assert_array_equal(model.predict(rows), model.predict(X))
    np.testing.assert_array_equal(np.array(rows), before)


@pytest.mark.parametrize(
    ("scale", "rows"),
    [
        ("0..1", X / 255),
        (" 0.0 .. 1.0 ", (X / 255).astype(np.float32)),
        ("-1..1", X / 127.5 - 1),
        ("0..255", X.astype(np.float32)),
        ("0..65535", X.astype(np.uint16) * 257),
        ("-128..127", (X.astype(np.int16) - 128).astype(np.int8)),
    ],
)
def test_a_range_that_is_declared_is_heeded(scale, rows, model, expected):
    np.testing.assert_allclose(model.predict(rows, scale=scale), expected, rtol=1e-4, atol=1e-5)


def test_a_mask_of_bools_is_declared_too(model):
    mask = X > 127
    with pytest.raises(UsageError, match=r'found bool from 0 to 1: say predict\(x, scale="0..1"\)'):
        model.predict(mask)
    np.testing.assert_allclose(
        model.predict(mask, scale="0..1"), model.predict(mask.astype(np.uint8) * 255), rtol=1e-4, atol=1e-5
    )


REFUSED = {
    "int8 that was uint8": (X.view(np.int8), "found int8 from -128 to 127: bytes of a picture are uint8"),
    "negative integers": (X.astype(int) - 200, "found int64 from -200 to 5"),
    "integers beyond 255": (X.astype(int) + 1, "found int64 from 1 to 256"),
    "floats from 0 to 1": (X / 255, r'from 0 to 1: say predict\(x, scale="0..1"\), or scale="0..255" if'),
    "floats around 0": (X / 127.5 - 1, r'from -1 to 1: clip them, or say .* scale="-1..1"'),
    "floats that are standardized": ((X / 255 - 0.5) / 0.25, "found float64 from -2 to 2"),
    "16 bits as floats": (X.astype(np.float32) * 257, "found float32 from 0 to 65535"),
    "numbers that are none": (np.where(X == 7, np.nan, X), r"hold nan in sample \d, channel \d, row \d, column \d"),
    "infinity": (np.where(X == 7, -np.inf, X), "hold -inf in sample"),
    "complex numbers": (X.astype(complex), "integers or floats, not complex128"),
    "texts": (X.astype(str), "integers or floats, not <U3"),
    "objects": (X.astype(object), "integers or floats, not object"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_on_the_scale_is_refused_in_a_line_that_names_the_range(what, model):
    rows, words = REFUSED[what]
    with pytest.raises(UsageError, match=words) as error:
        model.predict(rows)
    assert "\n" not in str(error.value)
    if "integers or floats" not in words and "hold" not in words:
        assert "trained on pixels from 0 to 255" in str(error.value)


@pytest.mark.parametrize("scale", ["0..1", "-1..1"])
def test_a_range_that_is_declared_wrongly_is_refused(scale, model):
    with pytest.raises(UsageError, match=f"scale='{scale}', but found uint8 from 0 to 255: say the range they have"):
        model.predict(X, scale=scale)


def test_a_picture_that_was_resized_may_leave_its_range_a_little(model):
    rows = X / 255
    rows[0, 0, 0, 0], rows[0, 0, 0, 1] = 1.05, -0.05
    assert np.isfinite(model.predict(rows, scale="0..1")).all()


@pytest.mark.parametrize("scale", ["", "1", "1..0", "1..1", "a..b", "0..inf", "0..1..2", 1, (0, 1), "0.." + "9" * 400])
def test_a_range_that_is_none_is_refused(scale, model):
    with pytest.raises(UsageError, match="wanted two numbers, the lower first"):
        model.predict(X, scale=scale)


def test_black_pictures_are_black_in_every_form(model):
    black = np.zeros_like(X)
    for rows in (black.astype(np.float64), black.astype(np.int64)):
        np.testing.assert_array_equal(model.predict(rows), model.predict(black))


@pytest.mark.parametrize("rows", [X[:, :1], X[:0], np.float32(3), X[0, 0], X.transpose(0, 1, 3, 2), X.reshape(9, -1)])
def test_another_shape_is_named_first(rows, model):
    with pytest.raises(StructureError, match=r"this network wants \(N, 3, 4, 5\), N > 0"):
        model.predict(rows)


@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4"])
def test_channels_may_be_first_or_last_and_a_picture_alone(dtype, model):
    rows = X.astype(dtype)
    np.testing.assert_array_equal(model.predict(np.ascontiguousarray(rows.transpose(0, 2, 3, 1))), model.predict(X))
    for picture in (rows[4], rows[4].transpose(1, 2, 0)):
        np.testing.assert_array_equal(model.predict(picture), model.predict(X[4:5]))


GREY = nn.Sequential([nn.Flatten(), nn.Dense(3)], (1, 5, 4))


@pytest.mark.parametrize("shape", [(1, 5, 4), (5, 4), (5, 4, 1), (1, 1, 5, 4), (1, 5, 4, 1)])
def test_a_grey_picture_needs_no_channel(shape):
    model = nnlite.TrainedModel(GREY, GREY.init(np.random.default_rng(0)), (0.5,), (0.5,), {}, data.values.PIXELS)
    picture = X[0, 0].reshape(5, 4)
    np.testing.assert_array_equal(model.predict(picture.reshape(shape)), model.predict(picture[None, None]))
    some = X[:, 0].reshape(9, 5, 4)
    np.testing.assert_array_equal(model.predict(some), model.predict(some[:, None]))


def test_a_shape_that_can_be_meant_in_two_ways_is_refused():
    network = nn.Sequential([nn.Flatten(), nn.Dense(2)], (3, 3, 3))
    model = nnlite.TrainedModel(network, network.init(np.random.default_rng(0)), (0.5,), (0.5,), {}, data.values.PIXELS)
    with pytest.raises(StructureError, match=r"can be meant in two ways: give \(N, 3, 3, 3\)"):
        model.predict(np.zeros((3, 3, 3), np.uint8))


def test_a_list_of_unequal_rows_is_no_array(model):
    with pytest.raises(StructureError, match="x is no array"):
        model.predict([[1, 2], [3]])


# ---- tables of numbers

TABLE = nn.Sequential([nn.Dense(5), nn.Tanh(), nn.Dense(2)], (3,))


def table_model(values):
    return nnlite.TrainedModel(TABLE, TABLE.init(np.random.default_rng(1)), (0.0,), (1.0,), {}, values)


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_are_used_as_they_are(dtype):
    rows = np.array([[0.5, -1.25, 3.0], [-2.0, 2.5, 1.0]])
    model = table_model(Values("float32", -2.0, 3.0))
    np.testing.assert_array_equal(
        model.predict(rows.astype(dtype)), TABLE.predict(model.weights, rows.astype(np.float32))
    )


@pytest.mark.parametrize("dtype", ["i1", "<i2", ">i8", "<f4"])
def test_bits_of_any_dtype_are_the_same_bits(dtype):
    model, rows = table_model(Values("int8", -1.0, 1.0)), np.array([[1, -1, 1], [-1, -1, 1]])
    np.testing.assert_array_equal(model.predict(rows.astype(dtype)), TABLE.predict(model.weights, np.float32(rows)))


def test_numbers_outside_their_range_pass_but_not_by_far():
    """A new row may be larger than any before; rows of another scale are refused."""
    model = table_model(Values("float32", -2.0, 3.0))
    model.predict([[9.0, -9.0, 30.0]])
    for rows in ([[200.0, 0, 0]], [[0, -200, 0]], np.full((1, 3), 255, np.uint8)):
        with pytest.raises(UsageError, match=r"trained on float32 from -2 to 3, used as they are; found .*same scale"):
            model.predict(rows)
    with pytest.raises(UsageError, match=r"scale='0..1' is for models of pixels; .* float32 from -2 to 3"):
        model.predict([[0.0, 0.0, 0.0]], scale="0..1")


def test_a_model_of_floats_from_0_to_1_does_not_take_pixels():
    with pytest.raises(UsageError, match="float32 from 0 to 1, used as they are; found uint8 from 0 to 255"):
        table_model(Values("float32", 0.0, 1.0)).predict(np.array([[0, 128, 255]], np.uint8))


# ---- the file says it


@pytest.mark.parametrize("kind", ["pixels", "floats", "bits"])
def test_a_run_s_model_and_its_file_know_what_it_was_trained_on(kind, tmp_path):
    rows = small.dataset()
    if kind != "pixels":

        def of(split):
            x = split.x.reshape(len(split), 25)
            return data.Split(
                (x / np.float32(51)) if kind == "floats" else np.where(x > 127, 1, -1).astype(np.int8), split.y
            )

        rows = data.Dataset("tiny", of(rows.train), of(rows.test), small.CLASSES, (), (0.0,), (1.0,))
    network = None if kind == "pixels" else nn.Sequential([nn.Dense(4)], (25,))
    store, of = MemoryStore(), small.spec(rows, network=network, num_rounds=1)
    model = lifecycle.result(store, of, small.train(store, of, rows))
    nnlite.save(tmp_path / "w.st", model)
    found = nnlite.load(tmp_path / "w.st")
    x = rows.train.x
    assert found.values == model.values == Values(x.dtype.name, *((0, 255) if kind == "pixels" else (x.min(), x.max())))
    np.testing.assert_array_equal(found.predict(rows.test.x.astype(np.float64)), model.predict(rows.test.x))


def old_file(path, model) -> None:
    """As files were before they said what rows are made of."""
    nnlite.save(path, model)
    read = weights.load(path)
    metadata = {k: v for k, v in read.metadata.items() if k != "sha256"}
    scale = json.loads(metadata["scale"])
    metadata["scale"] = json.dumps({"mean": scale["mean"], "std": scale["std"]})
    weights.save(path, read.vector, read.shapes, metadata)


def test_an_old_file_of_pixels_is_known_by_its_scale(model, tmp_path):
    old_file(tmp_path / "w.st", model)
    found = nnlite.load(tmp_path / "w.st")
    assert found.values is None
    for rows in (X, X.astype(np.int64), X.astype(np.float32)):
        np.testing.assert_array_equal(found.predict(rows), model.predict(X))
    with pytest.raises(UsageError, match=re.escape('scale="0..1"')):
        found.predict(X / 255)
    np.testing.assert_allclose(found.predict(X / 255, scale="0..1"), model.predict(X), rtol=1e-4, atol=1e-5)


def test_an_old_file_without_a_scale_takes_what_it_took(tmp_path):
    old_file(tmp_path / "w.st", table_model(Values("float32", -2.0, 3.0)))
    found = nnlite.load(tmp_path / "w.st")
    rows = np.array([[1, 0, 2]])
    for dtype in ("i1", "<f4", "<f8"):
        np.testing.assert_array_equal(found.predict(rows.astype(dtype)), TABLE.predict(found.weights, np.float32(rows)))
    np.testing.assert_allclose(
        found.predict(rows.astype(np.uint8)), TABLE.predict(found.weights, np.float32(rows) / 255), rtol=1e-5
    )
    for odd, scale in ((rows, None), (rows > 0, None), (rows.astype(np.float32), "0..1")):
        with pytest.raises(UsageError, match="file does not say what it was trained on"):
            found.predict(odd, scale)


def test_masked_cells_are_not_predicted_from_what_lies_under_the_mask(model):
    x = np.ma.masked_array(np.zeros((2, *model.network.input_shape), np.uint8), mask=False)
    assert model.predict(x).shape[0] == 2
    x[1].flat[0] = np.ma.masked
    with pytest.raises(UsageError, match="x: 1 of its cells are masked"):
        model.predict(x)
