"""IDX: golden bytes, a round trip, and nothing but DataError from bytes that are not sound."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nnlite.data import idx
from nnlite.errors import DataError, DataNotFound

GOLDEN = {
    "00000801 00000003 0102ff": np.array([1, 2, 255], np.uint8),
    "00000902 00000001 00000002 ff7f": np.array([[-1, 127]], np.int8),
    "00000b01 00000002 0102 fffe": np.array([258, -2], np.int16),
    "00000c01 00000001 01020304": np.array([16909060], np.int32),
    "00000d01 00000002 3f800000 c0000000": np.array([1, -2], np.float32),
    "00000e01 00000001 3ff8000000000000": np.array([1.5], np.float64),
    "00000803 00000001 00000002 00000003 000102030405": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
    "00000801 00000000": np.array([], np.uint8),
}
DTYPES = st.sampled_from(["u1", "i1", ">i2", "<i2", ">i4", "<i4", ">f4", "<f4", ">f8", "<f8"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@pytest.mark.parametrize("text", GOLDEN)
def test_golden_bytes(text):
    data, array = bytes.fromhex(text), GOLDEN[text]
    decoded = idx.decode(data, "golden")
    assert decoded.dtype == array.dtype
    assert decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, array, strict=True)
    assert idx.encode(array) == data


@given(ARRAYS)
def test_what_was_encoded_is_decoded(array):
    decoded = idx.decode(idx.encode(array), "here")
    assert decoded.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(decoded, array)


def test_an_array_in_any_memory_order_gives_the_same_bytes():
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert idx.encode(np.asfortranarray(array)) == idx.encode(array)


@pytest.mark.parametrize("dtype", ["int64", "uint16", "float16", "bool", "complex64"])
def test_dtypes_without_a_code_are_refused(dtype):
    with pytest.raises(DataError, match=dtype):
        idx.encode(np.zeros(2, dtype))


SOUND = idx.encode(np.arange(6, dtype=np.int16).reshape(2, 3))


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_file_cut_anywhere_is_refused(length, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(SOUND[:length])
    with pytest.raises(DataError, match="cut"):
        idx.read(path)


def test_the_message_names_file_expected_and_found_bytes():
    with pytest.raises(DataError, match=r"some/file: truncated: expected 24 bytes .* found 23"):
        idx.decode(SOUND[:-1], "some/file")
    with pytest.raises(DataError, match=r"some/file: too long: expected 24 bytes .* found 25"):
        idx.decode(SOUND + b"\0", "some/file")


def test_concatenated_files_are_refused():
    with pytest.raises(DataError, match="too long"):
        idx.decode(SOUND + SOUND, "two")


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda rest: b"\0\0\x08" + rest))
def test_any_bytes_are_an_array_or_a_data_error(data):
    try:
        array = idx.decode(data, "anything")
    except DataError:
        return
    assert idx.encode(array) == data


@pytest.mark.parametrize("shape", [(2**32 - 1,) * 3, (0, 2**32 - 1, 2**32 - 1, 2**32 - 1), (0,) * 100, (1,) * 255])
def test_impossible_shapes_are_refused(shape):
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    with pytest.raises(DataError):
        idx.decode(header + (b"" if 0 in shape else b"x"), "huge")


def test_gzip_is_known_by_its_content_not_by_its_name(tmp_path):
    plain, packed = tmp_path / "plain.gz", tmp_path / "packed"
    plain.write_bytes(SOUND)
    packed.write_bytes(gzip.compress(SOUND))
    np.testing.assert_array_equal(idx.read(plain), idx.read(str(packed)))


def test_gzip_cut_or_changed_anywhere_is_refused(tmp_path):
    packed = gzip.compress(SOUND, mtime=0)
    path = tmp_path / "images.gz"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match=r"images\.gz"):
            idx.read(path)
    for position in range(10, len(packed)):  # the ten bytes before are the header, mostly free
        path.write_bytes(packed[:position] + bytes([packed[position] ^ 16]) + packed[position + 1 :])
        with pytest.raises(DataError, match=r"images\.gz"):
            idx.read(path)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    with pytest.raises(DataNotFound, match="nowhere"):
        idx.read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read"):
        idx.read(tmp_path)
