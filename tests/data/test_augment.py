"""Augmentation: every outcome is a flip or a shift of the image, each as often as it should be."""

import numpy as np
import pytest

from nnlite.data.augment import Augment
from nnlite.errors import UsageError

IMAGE = np.arange(1, 2 * 5 * 6 + 1, dtype=np.uint8).reshape(2, 5, 6)


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """The image moved, black moving in: written the slow way."""
    out = np.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                out[:, row, column] = image[:, row - down, column - right]
    return out


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("augment", [Augment(), Augment(flip=True), Augment(crop=2), Augment(True, 1)])
def test_outcomes_are_exactly_the_flips_and_shifts_all_equally_likely(augment, dtype):
    image, n = IMAGE.astype(dtype), 20_000
    moves = range(-augment.crop, augment.crop + 1)
    expected = {
        (moved[:, :, ::-1] if mirrored else moved).tobytes()
        for down in moves
        for right in moves
        for moved in [shifted(image, down, right)]
        for mirrored in {False, augment.flip}
    }
    x = np.broadcast_to(image, (n, *image.shape))
    out = augment(x, np.random.default_rng(1))
    assert (out.shape, out.dtype) == (x.shape, image.dtype)
    counts: dict[bytes, int] = {}
    for one in out:
        counts[one.tobytes()] = counts.get(one.tobytes(), 0) + 1
    assert set(counts) == expected
    mean = n / len(expected)
    assert all(abs(count - mean) < 5 * mean**0.5 for count in counts.values())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 11])
def test_holes_are_the_squares_around_every_pixel_all_equally_likely(size, dtype):
    image, n = IMAGE.astype(dtype), 9_000
    _, height, width = image.shape
    expected: dict[bytes, int] = {}
    for row in range(height):
        for column in range(width):
            one = image.copy()
            for i in range(height):
                for j in range(width):
                    if 0 <= i - row + size // 2 < size and 0 <= j - column + size // 2 < size:
                        one[:, i, j] = 0
            expected[one.tobytes()] = expected.get(one.tobytes(), 0) + 1
    out = Augment(cutout=size)(np.broadcast_to(image, (n, *image.shape)), np.random.default_rng(2))
    counts: dict[bytes, int] = {}
    for one in out:
        counts[one.tobytes()] = counts.get(one.tobytes(), 0) + 1
    assert counts.keys() == expected.keys()
    for one, ways in expected.items():
        mean = n * ways / (height * width)
        assert abs(counts[one] - mean) < 5 * mean**0.5


def test_without_a_hole_draws_are_what_they_were():
    """A hole is drawn last, so flips and shifts are those of the same seed without one."""
    x = np.stack([IMAGE] * 50)
    plain = Augment(True, 2)(x, np.random.default_rng(3))
    holed = Augment(True, 2, 2)(x, np.random.default_rng(3))
    assert np.array_equal(np.where(holed == 0, 0, plain), holed)
    assert (holed != plain).any()


def test_the_argument_is_not_changed_and_not_handed_out():
    x = np.stack([IMAGE] * 4)
    for augment in (Augment(), Augment(flip=True), Augment(crop=1), Augment(cutout=2)):
        out = augment(x, np.random.default_rng(0))
        assert not np.shares_memory(out, x)
        np.testing.assert_array_equal(x, np.stack([IMAGE] * 4))


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(UsageError):
        Augment(crop=-1)
    with pytest.raises(UsageError, match="cutout is a number of pixels, 0 or more, not -3"):
        Augment(cutout=-3)
    with pytest.raises(UsageError, match=r"mixup is the parameter of a Beta distribution, 0 to 1000\.0, not -0\.1"):
        Augment(mixup=-0.1)
    with pytest.raises(UsageError, match="not nan"):
        Augment(mixup=float("nan"))
    with pytest.raises(UsageError):
        Augment(crop=5)(IMAGE[None], np.random.default_rng(0))
    with pytest.raises(UsageError):
        Augment(flip=True)(np.zeros((3, 4), np.uint8), np.random.default_rng(0))
