"""EMNIST: upright, labels from 0, from a folder and from the official zip alike."""

import gzip
import zipfile

import numpy as np
import pytest

from nnlite.data import emnist, idx
from nnlite.errors import DataError, DataNotFound, UsageError


def arrays(split: str, n: int = 12) -> dict[str, np.ndarray]:
    """As published: images transposed, letters counted from 1."""
    first = 1 if split == "letters" else 0
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 3, 20] = 200  # stored at (row 3, column 20), so a person sees it at row 20, column 3
    labels = (np.arange(n) % emnist.num_classes(split) + first).astype(np.uint8)
    return {stem: images if "images" in stem else labels for stem in emnist.stems(split)}


def write_zip(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for stem, array in contents.items():
            archive.writestr(f"gzip/{stem}.gz", gzip.compress(idx.encode(array)))
        archive.writestr("gzip/emnist-letters-mapping.txt", mapping_of("letters"))
    return path


def mapping_of(split: str) -> str:
    if split == "letters":
        return "".join(f"{k + 1} {65 + k} {97 + k}\n" for k in range(26))
    return "".join(f"{k} {ord(name)}\n" for k, name in enumerate(emnist._NAMES[split]))


@pytest.mark.parametrize("split", emnist.SPLITS)
def test_images_stand_upright_and_labels_start_at_0(split, tmp_path, write_idx):
    folder = write_idx(arrays(split), tmp_path)
    (train_x, train_y, test_x, test_y), names = emnist.read(emnist.find(folder, split), split)
    assert train_x.shape == test_x.shape == (12, 1, 28, 28)
    assert np.argwhere(train_x[0, 0]).tolist() == np.argwhere(test_x[5, 0]).tolist() == [[20, 3]]
    assert train_y.tolist() == test_y.tolist() == [k % emnist.num_classes(split) for k in range(12)]
    assert len(names) == emnist.num_classes(split)


@pytest.mark.parametrize("split", emnist.SPLITS)
def test_names_known_and_names_in_the_mapping_agree(split, tmp_path, write_idx):
    folder = write_idx(arrays(split), tmp_path)
    known = emnist.read(folder, split)[1]
    (folder / f"emnist-{split}-mapping.txt").write_text(mapping_of(split))
    assert emnist.read(folder, split)[1] == known == tuple(emnist._NAMES[split])


def test_the_mapping_is_what_counts(tmp_path, write_idx):
    folder = write_idx(arrays("digits"), tmp_path)
    (folder / "emnist-digits-mapping.txt").write_text("".join(f"{k} {90 - k}\n" for k in range(10)))
    assert emnist.read(folder, "digits")[1] == tuple("ZYXWVUTSRQ")


@pytest.mark.parametrize("text", ["0 48\n", "a b\n" * 10, "0\n" * 10, "0 99999999999\n", "\xff"])
def test_a_mapping_that_is_none_is_refused(text, tmp_path, write_idx):
    folder = write_idx(arrays("digits"), tmp_path)
    (folder / "emnist-digits-mapping.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"emnist-digits-mapping\.txt"):
        emnist.read(folder, "digits")


def test_the_zip_is_read_like_the_folder_and_not_unpacked(tmp_path, write_idx):
    (tmp_path / "z").mkdir()
    path = write_zip(tmp_path / "z" / emnist.ARCHIVE, {**arrays("letters"), **arrays("digits")})
    assert emnist.find(path.parent, "letters") == path
    for split in ("letters", "digits"):
        from_zip, names = emnist.read(path, split)
        from_folder, same_names = emnist.read(write_idx(arrays(split), tmp_path / split), split)
        assert names == same_names
        for one, other in zip(from_zip, from_folder, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    assert [file.name for file in path.parent.iterdir()] == [emnist.ARCHIVE]
    with pytest.raises(DataNotFound, match="emnist-balanced"):
        emnist.read(path, "balanced")


def test_a_zip_cut_anywhere_is_refused(tmp_path):
    path = write_zip(tmp_path / emnist.ARCHIVE, arrays("digits"))
    data = path.read_bytes()
    for length in range(0, len(data), 23):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=emnist.ARCHIVE):
            emnist.read(path, "digits")


def test_a_zip_with_a_changed_byte_is_refused_or_reads_the_same(tmp_path):
    path = write_zip(tmp_path / emnist.ARCHIVE, arrays("digits"))
    data = path.read_bytes()
    sound = emnist.read(path, "digits")
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            found = emnist.read(path, "digits")
        except (DataError, DataNotFound):
            continue
        assert all(np.array_equal(a, b) for a, b in zip(sound[0], found[0], strict=True))


def test_letters_labelled_from_0_are_refused(tmp_path, write_idx):
    contents = arrays("letters")
    contents[emnist.stems("letters")[1]] = np.zeros(12, np.uint8)
    with pytest.raises(DataError, match=r"train-labels.*mislabelled.*found -1"):
        emnist.read(write_idx(contents, tmp_path), "letters")


def test_splits_that_are_none_and_files_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="byclass"):
        emnist.num_classes("byname")
    with pytest.raises(DataNotFound, match="emnist-digits-train-images"):
        emnist.read(tmp_path, "digits")
    with pytest.raises(DataNotFound):
        emnist.read(tmp_path / "gzip.zip", "digits")
    assert emnist.find(tmp_path, "digits") is None
