"""Weights: the safetensors bytes of one vector, and what becomes of bytes that are not sound."""

import errno
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnlite import safetensors, weights
from nnlite.errors import DataNotFound, StoreError, StructureError, WeightsError
from nnlite.weights import check_shapes, decode, encode, encode_parts, load, save

SHAPES = {"z/weight": (2, 3), "a/bias": (3,), "scale": (), "empty": (0, 5)}
NUM_PARAMETERS = 10


def vector_of(size: int = NUM_PARAMETERS, seed: int = 0) -> weights.Vector:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def blob_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


# Writing and reading back


def test_round_trip_keeps_every_bit_the_order_and_the_metadata() -> None:
    vector = vector_of()
    vector[:4] = [np.nan, -0.0, np.inf, 1e-45]
    found = decode(encode(vector, SHAPES, {"round": "7", "é\n": "ü"}))
    assert found.vector.tobytes() == vector.tobytes()
    assert found.vector.dtype == np.float32
    assert list(found.shapes.items()) == list(SHAPES.items())
    sha256 = hashlib.sha256(vector.tobytes()).hexdigest()
    assert found.metadata == {"round": "7", "é\n": "ü", "sha256": sha256}


def test_golden_bytes() -> None:
    """The bytes must not change unnoticed: runs of an older version have to stay readable."""
    golden = (
        b'\xf8\0\0\0\0\0\0\0{"__metadata__":{"by":"nnlite","sha256":"'
        b'738e86d615200bd3391d7ae379779a8e4644bade56d93d0634aa07004fa697f3"},'
        b'"fc/weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},'
        b'"fc/bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}                 '
        b"\0\0\x80?\0\0 \xc0\0\0\0\0"
    )
    vector = np.array([1.0, -2.5, 0.0], dtype=np.float32)
    assert encode(vector, {"fc/weight": (1, 2), "fc/bias": (1,)}, {"by": "nnlite"}) == golden
    assert decode(golden).vector.tolist() == [1.0, -2.5, 0.0]


def test_same_input_same_bytes_whatever_the_order_of_the_metadata() -> None:
    one = encode(vector_of(), SHAPES, {"a": "1", "b": "2"})
    assert one == encode(vector_of(), SHAPES, {"b": "2", "a": "1", "sha256": "a stale one is replaced"})


@pytest.mark.parametrize("length", range(0, 130, 7))
def test_data_begin_at_a_multiple_of_64(length: int) -> None:
    header, _ = encode_parts(vector_of(), SHAPES, {"x": "y" * length})
    assert len(header) % 64 == 0


def test_nothing_is_copied_on_the_way_out_or_in() -> None:
    vector = vector_of()
    header, data = encode_parts(vector, SHAPES)
    vector[0] = 42
    assert np.frombuffer(data, np.float32)[0] == 42
    blob = header + data
    found = decode(blob, verify=False)
    assert np.shares_memory(found.vector, np.frombuffer(blob, np.uint8))
    assert all(np.shares_memory(view, found.vector) for view in found.tensors().values() if view.size)


def test_what_is_read_cannot_be_written_to() -> None:
    found = decode(memoryview(bytearray(encode(vector_of(), SHAPES))))
    with pytest.raises(ValueError, match="read-only"):
        found.vector[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        found.tensors()["scale"][...] = 1


def test_tensors_have_their_shapes_and_values() -> None:
    vector = vector_of()
    tensors = decode(encode(vector, SHAPES)).tensors()
    assert {name: array.shape for name, array in tensors.items()} == SHAPES
    assert np.array_equal(np.concatenate([array.reshape(-1) for array in tensors.values()]), vector)


def test_an_unaligned_file_reads_as_aligned_values() -> None:
    blob = memoryview(b"x" + encode(vector_of(), SHAPES))[1:]
    found = decode(memoryview(bytes(3) + blob)[3:])
    assert found.vector.flags.aligned
    assert np.array_equal(found.vector, vector_of())


def test_a_network_without_parameters() -> None:
    found = decode(encode(np.empty(0, np.float32), {}))
    assert found.vector.shape == (0,)
    assert found.shapes == {}
    assert np.array_equal(found.vector_in({}), found.vector)


@pytest.mark.parametrize(
    ("vector", "found"),
    [
        (vector_of().astype(np.float64), "float64"),
        (vector_of().astype(">f4"), ">f4"),
        (vector_of(20)[::2], "not contiguous"),
        (vector_of(9), r"\(9,\)"),
        (vector_of().reshape(2, 5), r"\(2, 5\)"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(vector: Any, found: str) -> None:
    with pytest.raises(StructureError, match=rf"a contiguous \(10,\) float32 vector, found .*{found}"):
        encode(vector, SHAPES)


@pytest.mark.parametrize(
    ("shapes", "metadata"),
    [
        ({"__metadata__": (10,)}, None),
        ({"x": (-2, -5)}, None),
        ({"\ud800": (10,)}, None),
        ({"x": (10,)}, {"a": 1}),
        ({"x": (10,)}, {1: "a"}),
        ({"x": (10,)}, {"a": "y" * safetensors.MAX_HEADER_BYTES}),
    ],
)
def test_what_could_not_be_read_back_is_not_written(shapes: Any, metadata: Any) -> None:
    with pytest.raises(StructureError):
        encode(vector_of(), shapes, metadata)


# Fitting a network


def test_a_different_shape_names_both_sides() -> None:
    found, expected = {"2/weight": (100, 47)}, {"2/weight": (100, 10)}
    where, hint = "checkpoint runs/r7/ckpt/00000012", "Was it trained with another --case?"
    with pytest.raises(StructureError) as caught:
        check_shapes(found, expected, where, hint)
    assert str(caught.value) == (
        "checkpoint runs/r7/ckpt/00000012 has '2/weight' (100, 47); the network wants (100, 10). "
        "Was it trained with another --case?"
    )


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": (1,)}, r"ckpt has no 'b'; the network wants \(2,\)\. Why\?"),
        ({"a": (1,), "b": (2,), "c": (3, 4)}, r"ckpt has 'c' \(3, 4\); .* no such tensor\. Why\?"),
        ({"b": (2,), "a": (1,)}, r"ckpt has 'b' as tensor 0; the network wants 'a'\. Why\?"),
    ],
)
def test_missing_extra_and_reordered_names(found: Any, message: str) -> None:
    with pytest.raises(StructureError, match=message):
        check_shapes(found, {"a": (1,), "b": (2,)}, "ckpt", "Why?")


def test_equal_shapes_pass() -> None:
    check_shapes(SHAPES, dict(SHAPES), "ckpt")


def test_vector_in_another_order() -> None:
    found = decode(encode(vector_of(), SHAPES))
    assert found.vector_in(SHAPES) is found.vector
    backwards = dict(reversed(SHAPES.items()))
    moved = found.vector_in(backwards)
    assert not moved.flags.writeable
    again = decode(encode(moved, backwards))
    for name, array in found.tensors().items():
        assert np.array_equal(again.tensors()[name], array)
    with pytest.raises(StructureError, match=r"r7 has no 'more'; the network wants \(1,\)\. Why\?"):
        found.vector_in({**SHAPES, "more": (1,)}, "r7", "Why?")


# The safetensors package, both ways


def test_the_package_reads_ours() -> None:
    package = pytest.importorskip("safetensors.numpy")
    found = decode(encode(vector_of(), SHAPES, {"é": "ü"}))
    theirs = package.load(encode(vector_of(), SHAPES, {"é": "ü"}))
    assert theirs.keys() == SHAPES.keys()
    for name, array in found.tensors().items():
        assert theirs[name].dtype == np.float32
        assert np.array_equal(theirs[name], array)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "np"}])
def test_we_read_the_packages(metadata: dict[str, str] | None) -> None:
    package = pytest.importorskip("safetensors.numpy")
    ours = decode(encode(vector_of(), SHAPES))
    found = decode(package.save({name: array.copy() for name, array in ours.tensors().items()}, metadata))
    assert found.metadata == (metadata or {})
    assert np.array_equal(found.vector_in(SHAPES), ours.vector)


def test_torch_both_ways(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    package = pytest.importorskip("safetensors.torch")
    save(tmp_path / "ours.safetensors", vector_of(), SHAPES)
    theirs = package.load_file(tmp_path / "ours.safetensors")
    assert {name: tuple(value.shape) for name, value in theirs.items()} == SHAPES
    package.save_file(theirs, tmp_path / "theirs.safetensors", {"format": "pt"})
    assert np.array_equal(load(tmp_path / "theirs.safetensors").vector_in(SHAPES), vector_of())


# Half precision, and what is no weights


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_of_the_package_is_converted_exactly(half: str) -> None:
    torch, package = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    dtype = getattr(torch, half)
    values = {
        "a": torch.tensor([1.0, -2.5, 0.0, -0.0, 65280.0, 2.0**-14, 2.0**-20, float("inf")], dtype=dtype),
        "b": torch.arange(3, dtype=torch.float32) / 3,  # at an odd place behind a tensor of one number
        "c": torch.tensor([[0.1]], dtype=dtype),
        "d": torch.zeros((0, 4), dtype=dtype),
    }
    found = decode(package.save(values), "theirs")
    assert found.vector.dtype == np.float32
    assert not found.vector.flags.writeable
    assert {name: array.tolist() for name, array in found.tensors().items()} == {
        name: value.to(torch.float32).tolist() for name, value in values.items()
    }
    shapes = {name: tuple(value.shape) for name, value in reversed(values.items())}
    assert found.vector_in(shapes)[0] == np.float32(values["c"].to(torch.float32).item())


def test_every_number_of_half_precision_keeps_its_value() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    entry = {"dtype": "F16", "shape": [2**16], "data_offsets": [0, 2**17]}
    for dtype, wanted in (("F16", bits.view("<f2").astype(np.float32)), ("BF16", _bfloat16(bits))):
        found = decode(blob_of({"a": {**entry, "dtype": dtype}}, bits.tobytes())).vector
        np.testing.assert_array_equal(found, wanted)


def _bfloat16(bits: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"".join(b"\0\0" + one.tobytes() for one in bits), "<f4")


@pytest.mark.parametrize("dtype", ["I64", "F64", "BOOL", "F8_E4M3", "f32"])
def test_another_dtype_is_named_with_those_that_can_be_read(dtype: str) -> None:
    with pytest.raises(WeightsError) as caught:
        decode(blob_of({"a": tensor(dtype=dtype)}, bytes(8)), "m.safetensors")
    assert str(caught.value) == (
        f"m.safetensors: 'a' has dtype '{dtype}'; weights of F32, F16, BF16 can be read. "
        "Convert it where it was written, or leave it out."
    )


def test_metadata_that_is_null_is_none_as_in_the_package() -> None:
    package = pytest.importorskip("safetensors.numpy")
    blob = blob_of({"__metadata__": None, "a": tensor()}, np.float32([1, 2]).tobytes())
    assert package.load(blob)["a"].tolist() == decode(blob).vector.tolist() == [1, 2]
    assert decode(blob).metadata == {}


MISTAKEN = {
    "a web page": b"\n<!DOCTYPE html><html><title>Sign in</title>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214\nsize 12345\n",
    "a zip archive": b"PK\x03\x04 as torch.save writes",
    "a Python pickle": b"\x80\x02ccollections",
    "compressed by gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n",
}


@pytest.mark.parametrize("what", MISTAKEN)
def test_a_file_of_another_kind_is_named(what: str) -> None:
    with pytest.raises(WeightsError, match=f"m is not a sound safetensors file, but {what}") as caught:
        decode(MISTAKEN[what], "m")
    assert "\n" not in str(caught.value)


def test_a_damaged_header_of_640_bytes_is_not_taken_for_a_pickle() -> None:
    with pytest.raises(WeightsError, match="begin with"):
        decode(blob_of(b"!" * 640), "m")


# Attacks

ATTACKS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "at least 8 bytes"),
    "seven bytes": (b"\0" * 7, "at least 8 bytes"),
    "empty header": (blob_of(b""), "begin with"),
    "header longer than the file": ((100).to_bytes(8, "little") + b"{}", "claims 100 bytes"),
    "header of 2**64 - 1 bytes": (b"\xff" * 8 + b"{}", "claims"),
    "header over the cap": (blob_of(b"{}".ljust(safetensors.MAX_HEADER_BYTES + 1)), "claims 4,000,001"),
    "not UTF-8": (blob_of(b'{"\xff":1}'), "utf-8"),
    "UTF-16": (blob_of('{"a":1}'.encode("utf-16")), "begin with"),
    "byte order mark": (blob_of(b"\xef\xbb\xbf{}"), "begin with"),
    "not JSON": (blob_of(b"{'a': 1}"), "Expecting property name"),
    "two values": (blob_of(b"{}{}"), "Extra data"),
    "a list": (blob_of([]), "begin with"),
    "a space first": (blob_of(b" {}"), "begin with"),
    "deeply nested lists": (blob_of(b'{"a":' + b"[" * 1_000_000), "recursion"),
    "deeply nested objects": (blob_of(b'{"a":' * 500_000), "recursion"),
    "nested just so": (blob_of(b'{"a":{"dtype":' + b"[" * 900 + b"]" * 900 + b"}}"), "exactly dtype"),
    "NaN": (blob_of(b'{"a":NaN}'), "'NaN' in the header"),
    "one tensor without a name": (blob_of(tensor()), "'dtype' is not described"),
    "-Infinity": (blob_of(b'{"a":{"dtype":"F32","shape":[-Infinity],"data_offsets":[0,8]}}'), "Infinity"),
    "a million digits": (blob_of(b'{"a":' + b"9" * 1_000_000 + b"}"), "a number of 1000000 digits"),
    "duplicate tensor": (blob_of(b'{"a":1,"a":1}'), "same name twice"),
    "duplicate escaped": (blob_of(b'{"a":1,"\\u0061":1}'), "same name twice"),
    "duplicate key in a tensor": (
        blob_of(b'{"a":{"dtype":"F16","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        "same name twice",
    ),
    "duplicate metadata": (blob_of(b'{"__metadata__":{"x":"1","x":"2"}}'), "same name twice"),
    "metadata is a list": (blob_of({"__metadata__": []}), "strings"),
    "metadata holds a number": (blob_of({"__metadata__": {"a": 1}}), "strings"),
    "metadata is nested": (blob_of({"__metadata__": {"a": {}}}), "strings"),
    "surrogate name": (blob_of({"\ud800": tensor()}, bytes(8)), "surrogates"),
    "tensor is a number": (blob_of({"a": 1}), "exactly"),
    "tensor is empty": (blob_of({"a": {}}), "exactly"),
    "no dtype": (blob_of({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), "exactly"),
    "a key too many": (blob_of({"a": {**tensor(), "b": 1}}, bytes(8)), "exactly"),
    "float16 that is too short": (blob_of({"a": tensor([5], dtype="F16")}, bytes(8)), "does not fill"),
    "bfloat16 that is too long": (blob_of({"a": tensor([3], dtype="BF16")}, bytes(8)), "does not fill"),
    "dtype is a list": (blob_of({"a": tensor(dtype=["F32"])}, bytes(8)), "no sound dtype"),
    "dtype is an object": (blob_of({"a": tensor(dtype={})}, bytes(8)), "no sound dtype: dict"),
    "shape is a number": (blob_of({"a": tensor(2)}, bytes(8)), "no sound shape"),
    "shape is text": (blob_of({"a": tensor("2")}, bytes(8)), "no sound shape"),
    "shape is null": (blob_of({"a": tensor(None)}, bytes(8)), "no sound shape"),
    "negative shape": (blob_of({"a": tensor([-1, -2])}, bytes(8)), "no sound shape"),
    "float shape": (blob_of({"a": tensor([2.0])}, bytes(8)), "'2.0' in the header"),
    "exponent shape": (blob_of(b'{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}'), "'2e0'"),
    "bool shape": (blob_of({"a": tensor([True, 2])}, bytes(8)), "no sound shape"),
    "text in shape": (blob_of({"a": tensor(["2"])}, bytes(8)), "no sound shape"),
    "list in shape": (blob_of({"a": tensor([[2]])}, bytes(8)), "no sound shape"),
    "33 dimensions": (blob_of({"a": tensor([2] + [1] * 32)}, bytes(8)), "no sound shape"),
    "shape wraps 2**64": (blob_of({"a": tensor([2**31, 2**31, 4], [0, 0])}), "huge"),
    "huge shape": (blob_of({"a": tensor([10**18], [0, 4 * 10**18])}), "the tensors take|huge"),
    "huge and empty": (blob_of({"a": tensor([0, 2**61], [0, 0])}), "huge"),
    "many large sizes": (blob_of({"a": tensor([10**18] * 32, [0, 8])}, bytes(8)), "huge"),
    "shape larger than offsets": (blob_of({"a": tensor([3])}, bytes(8)), "does not fill"),
    "shape smaller than offsets": (blob_of({"a": tensor([1])}, bytes(8)), "does not fill"),
    "offsets backwards": (blob_of({"a": tensor([2], [8, 0])}, bytes(8)), "does not fill"),
    "offsets negative": (blob_of({"a": tensor([2], [-8, 0])}, bytes(8)), "no sound data_offsets"),
    "offsets bool": (blob_of({"a": tensor([], [False, 4])}, bytes(4)), "no sound data_offsets"),
    "three offsets": (blob_of({"a": tensor([2], [0, 8, 8])}, bytes(8)), "no sound data_offsets"),
    "offsets are text": (blob_of({"a": tensor([2], "08")}, bytes(8)), "no sound data_offsets"),
    "offsets out of range": (blob_of({"a": tensor([2], [0, 8])}, bytes(7)), "take 8 bytes, found 7"),
    "trailing bytes": (blob_of({"a": tensor([2], [0, 8])}, bytes(9)), "take 8 bytes, found 9"),
    "trailing bytes alone": (blob_of({}, bytes(4)), "take 0 bytes, found 4"),
    "hole in front": (blob_of({"a": tensor([2], [4, 12])}, bytes(12)), "begins at 4"),
    "hole between": (
        blob_of({"b": tensor([1], [8, 12]), "a": tensor([1], [0, 4])}, bytes(12)),
        "'b' begins at 8, the tensor before it ended at 4",
    ),
    "overlap": (blob_of({"a": tensor(), "b": tensor([2], [4, 12])}, bytes(12)), "begins at 4"),
    "the same data twice": (blob_of({"a": tensor(), "b": tensor()}, bytes(8)), "begins at 0"),
    "empty tensor in the middle of another": (
        blob_of({"a": tensor(), "b": tensor([0], [4, 4])}, bytes(8)),
        "begins at 4",
    ),
    "wrong hash": (blob_of({"__metadata__": {"sha256": "0" * 64}}), "content hash should be '000"),
    "long wrong hash": (blob_of({"__metadata__": {"sha256": "0" * 100_000}}), "content hash"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused_in_a_line_that_says_why(attack: str) -> None:
    blob, why = ATTACKS[attack]
    begin_s = time.perf_counter()
    with pytest.raises(WeightsError, match=why) as caught:
        decode(blob, where="checkpoint runs/r7/ckpt/00000012")
    message = str(caught.value)
    assert message.startswith("checkpoint runs/r7/ckpt/00000012 is not a sound safetensors file: ")
    assert len(message) < 500
    assert "\n" not in message
    assert time.perf_counter() - begin_s < 5


def test_a_header_of_the_largest_size_is_refused_in_bounded_time() -> None:
    blob = blob_of(b'{"a":[' + b"[]," * 8_000_000 + b"0]}")
    begin_s = time.perf_counter()
    with pytest.raises(WeightsError):
        decode(blob)
    assert time.perf_counter() - begin_s < 20


def test_truncation_anywhere_is_noticed() -> None:
    blob = encode(vector_of(), SHAPES, {"round": "7"})
    for length in range(len(blob)):
        with pytest.raises(WeightsError):
            decode(blob[:length])


def test_any_flipped_bit_is_noticed_or_harmless() -> None:
    """Harmless: a name, metadata or the shape of an empty tensor reads differently; no value has moved."""
    blob = encode(vector_of(), SHAPES, {"round": "7"})
    num_noticed = 0
    for position in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[position // 8] ^= 1 << position % 8
        try:
            found = decode(bytes(damaged))
        except WeightsError:
            num_noticed += 1
        else:
            assert position // 8 < len(blob) - 4 * NUM_PARAMETERS, "a bit of the data was changed"
            assert found.vector.tobytes() == vector_of().tobytes()
            assert [shape for shape in found.shapes.values() if 0 not in shape] == [(2, 3), (3,), ()]
    assert num_noticed > 4 * len(blob)


def test_without_verifying_changed_data_pass() -> None:
    """The other side of the law above: it is the hash that notices."""
    blob = bytearray(encode(vector_of(), SHAPES))
    blob[-1] ^= 1
    assert not np.array_equal(decode(bytes(blob), verify=False).vector, vector_of())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    with pytest.raises(WeightsError):
        decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("F32"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
sizes = st.integers(0, 3) | json_values
tensor_like = st.builds(
    tensor,
    st.lists(sizes, max_size=3) | json_values,
    st.lists(st.integers(0, 12).map(lambda number: 4 * number) | json_values, min_size=2, max_size=2),
    st.just("F32") | json_values,
)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), tensor_like | json_values, max_size=4),
    st.binary(max_size=48),
)
@example({"a": tensor()}, bytes(8))
def test_headers_that_are_nearly_right(header: dict[str, Any], data: bytes) -> None:
    """Whatever is accepted can be written again and comes back the same."""
    try:
        found = decode(blob_of(header, data))
    except WeightsError:
        return
    again = decode(encode(found.vector, found.shapes))
    assert again.vector.tobytes() == found.vector.tobytes() == data
    assert list(again.shapes.items()) == list(found.shapes.items())


def test_more_dimensions_of_memory_are_read_too() -> None:
    blob = np.frombuffer(encode(vector_of(), SHAPES), np.uint8).reshape(2, -1)
    assert np.array_equal(decode(blob.data).vector, vector_of())


# Files


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    for seed in (1, 2):
        save(path, vector_of(seed=seed), SHAPES, {"accuracy": "0.97"})
        assert np.array_equal(load(str(path)).vector, vector_of(seed=seed))
        assert load(path).metadata["accuracy"] == "0.97"
    assert os.listdir(tmp_path) == ["best.safetensors"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.safetensors"
    save(path, vector_of(seed=1), SHAPES)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=rf"weights \(\d+ bytes\) to .*: {os.strerror(number)}; choose"):
        save(path, vector_of(seed=2), SHAPES)
    assert os.listdir(tmp_path) == ["best.safetensors"]
    assert np.array_equal(load(path).vector, vector_of(seed=1))


def test_save_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no folder .*/missing; choose a folder that exists"):
        save(tmp_path / "missing" / "best.safetensors", vector_of(), SHAPES)


def test_load_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match=r"no weights file at .*/missing"):
        load(tmp_path / "missing")
    with pytest.raises(StoreError, match="Is a directory"):
        load(tmp_path)
    (tmp_path / "pickle").write_bytes(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0")
    with pytest.raises(WeightsError, match=r".*/pickle is not a sound safetensors file"):
        load(tmp_path / "pickle")
