"""Shards: each row once, a round trip, sound keys, and only DataError from bytes that are not sound."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nnlite.data import idx, shards
from nnlite.data.dataset import Split
from nnlite.errors import DataError, UsageError

DIGEST = "0123456789abcdef" * 4
KEY = shards.key("mnist", DIGEST, "train", 8, 3)
CUTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(CUTS)
def test_every_row_is_in_exactly_one_shard(cut):
    num_rows, num_shards = cut
    parts = shards.assign(num_rows, num_shards)
    assert len(parts) == num_shards
    assert sorted(np.concatenate(parts).tolist()) == list(range(num_rows))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_shards_are_always_the_same_and_drawn_at_random():
    first, again = shards.assign(1000, 7), shards.assign(1000, 7)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert shards.assign(10, 1)[0].tolist() == [9, 2, 4, 7, 5, 0, 8, 6, 3, 1]  # on every machine, for ever
    assert all(300 < part.mean() < 700 for part in first), "a shard has only neighbours"


@pytest.mark.parametrize(("num_rows", "num_shards"), [(10, 0), (10, -1), (10, 11), (0, 1), (0, 0)])
def test_impossible_cuts_are_refused(num_rows, num_shards):
    with pytest.raises(UsageError):
        shards.assign(num_rows, num_shards)


@st.composite
def splits(draw):
    n = draw(st.integers(0, 5))
    shape = draw(st.sampled_from([(n, 3), (n, 1, 2, 3), (n, 3, 4, 4)]))
    finite = {"elements": {"allow_nan": False, "allow_infinity": False}}
    dtype = draw(st.sampled_from(["uint8", "int8", "float32"]))
    x = draw(hnp.arrays(dtype, shape, **(finite if dtype == "float32" else {})))
    y = draw(hnp.arrays(draw(st.sampled_from(["uint8", "int8", "int16", "int32"])), (n,)))
    return Split(x, y)


@given(splits())
@settings(deadline=None)
def test_what_was_encoded_is_decoded(split):
    decoded = shards.decode(shards.encode(split, KEY), KEY)
    np.testing.assert_array_equal(decoded.x, split.x, strict=True)
    np.testing.assert_array_equal(decoded.y, split.y, strict=True)


def test_labels_of_other_integers_become_int32_or_an_error():
    x = np.zeros((2, 3), np.uint8)
    for dtype in ("int64", "uint16", "uint64"):
        y = shards.decode(shards.encode(Split(x, np.array([1, 300], dtype)), KEY), KEY).y
        assert (y.dtype, y.tolist()) == (np.int32, [1, 300])
    for value in (2**31, -(2**31) - 1):
        with pytest.raises(DataError, match="int32"):
            shards.encode(Split(x, np.array([0, value])), KEY)


SOUND = shards.encode(Split(np.arange(8, dtype=np.uint8).reshape(2, 4), np.array([0, 1], np.uint8)), "a/b")


def test_golden_bytes():
    assert (
        bytes.fromhex(
            "6e6e6c73 02000000 03000000 00000000 14000000 00000000 0a000000 00000000 "
            "b92afc17c773ecbbb2ad8933e5c44194b8b7a743024d3eb38665cef76ad3a0af"
            "612f62 00000802 00000002 00000004 00010203 04050607 00000801 00000002 0001"
        )
        == SOUND
    )
    assert hashlib.sha256(SOUND[64:]).digest() == SOUND[32:64]


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_shard_cut_anywhere_is_refused(length):
    with pytest.raises(DataError, match="a/b"):
        shards.decode(SOUND[:length], "a/b")


def test_a_shard_with_bytes_added_is_refused():
    with pytest.raises(DataError, match=f"a/b: expected {len(SOUND)} bytes, found {len(SOUND) + 1}"):
        shards.decode(SOUND + b"\0", "a/b")


def test_any_flipped_bit_is_refused():
    """Also one of a pixel or a label, which would be trained on."""
    for position in range(len(SOUND)):
        for bit in range(8):
            data = bytearray(SOUND)
            data[position] ^= 1 << bit
            with pytest.raises(DataError, match="a/b: "):
                shards.decode(bytes(data), "a/b")


def test_another_shard_is_refused():
    with pytest.raises(DataError, match="a/c: another shard stands there, 'a/b'"):
        shards.decode(SOUND, "a/c")


def test_rows_and_labels_must_be_as_many():
    forged = shards.encode(Split(np.zeros((2, 3), np.uint8), np.zeros(2, np.uint8)), KEY)
    labels = idx.encode(np.zeros(3, np.uint8))
    body = forged[64:-10] + labels
    lengths = len(KEY), len(body) - len(KEY) - len(labels), len(labels)
    header = forged[:8] + b"".join(length.to_bytes(8, "little") for length in lengths)
    with pytest.raises(DataError, match="mislabelled"):
        shards.decode(header + hashlib.sha256(body).digest() + body, KEY)


def test_keys_are_sound_and_all_different():
    keys = {
        shards.key(name, digest, part, num_shards, shard)
        for name in ("mnist", "emnist-bymerge", "a.b_c")
        for digest in (DIGEST, DIGEST[::-1])
        for part in shards.PARTS
        for num_shards in (1, 12)
        for shard in range(num_shards)
    }
    assert len(keys) == 3 * 2 * 2 * 13
    assert all(re.fullmatch("[a-z0-9._/-]{1,200}", key) for key in keys)
    assert shards.key("mnist", DIGEST, "train", 8, 3) == "datasets/mnist-0123456789abcdef/train-of-8/00003"


@pytest.mark.parametrize(
    "change",
    [
        *({"dataset_name": name} for name in ("Mnist", "../x", "", "x" * 200)),
        {"digest": "xyz"},
        {"digest": "0123"},
        {"part": "dev"},
        {"shard": 8},
        {"shard": -1},
        {"num_shards": 0},
    ],
)
def test_what_cannot_be_a_key_is_refused(change):
    sound = {"dataset_name": "mnist", "digest": DIGEST, "part": "train", "num_shards": 8, "shard": 3}
    with pytest.raises(UsageError):
        shards.key(**{**sound, **change})
