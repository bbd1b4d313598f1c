"""The files as people have them: renamed or unpacked they are read; a page or a pointer in their place is named."""

import gzip
import io
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from nnlite.data import catalog, cifar, emnist, idx, mnist
from nnlite.errors import DataError

PAGE = b"<!DOCTYPE html>\n<html><head><title>Google Drive - Virus scan warning</title>" + b" " * 4000
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 9912422\n"
)
WEB, LFS = "a web page, not the file that its link names", "a Git LFS pointer, not the file itself"

NAMES = {
    "official": "{stem}.gz",
    "unpacked": "{stem}",
    "a dot, as Kaggle and 7-Zip have it": "{dotted}",
    "a dot, packed": "{dotted}.gz",
    "a folder around each": "{stem}/{stem}",
    "a folder around each, with a dot": "{dotted}/{dotted}",
}


@pytest.mark.parametrize("how", NAMES)
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_under_any_of_its_names_packed_or_not(how, packed, tmp_path, mnist_arrays):
    folder = tmp_path / "mnist"
    for stem, array in mnist_arrays.items():
        path = folder / NAMES[how].format(stem=stem, dotted=stem.replace("-idx", ".idx"))
        path.parent.mkdir(parents=True, exist_ok=True)
        data = idx.encode(array)
        path.write_bytes(gzip.compress(data) if packed else data)
    dataset = catalog.load("mnist", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train.x[:, 0], mnist_arrays[mnist.STEMS[0]])
    np.testing.assert_array_equal(dataset.test.y, mnist_arrays[mnist.STEMS[3]])


@pytest.mark.parametrize("how", ["unpacked", "a dot, as Kaggle and 7-Zip have it"])
def test_emnist_under_its_other_names_in_folder_and_zip(how, tmp_path):
    folder = tmp_path / "emnist"
    folder.mkdir()
    for stem in emnist.stems("digits"):
        array = np.ones((4, 28, 28) if "images" in stem else 4, np.uint8)
        (folder / NAMES[how].format(stem=stem, dotted=stem.replace("-idx", ".idx"))).write_bytes(idx.encode(array))
    (tmp_path / "z").mkdir()
    with zipfile.ZipFile(tmp_path / "z" / emnist.ARCHIVE, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"gzip/{path.name}")
    for place in (tmp_path, tmp_path / "z"):
        assert len(catalog.load("emnist-digits", data_dir=place).train) == 4


def write_cifar(path, mode: str):
    record = np.arange(3073, dtype=np.uint16).astype(np.uint8)
    record[0] = 3
    with tarfile.open(path, mode) as archive:
        for name in cifar._FILES:
            info = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            info.size = 3073
            archive.addfile(info, io.BytesIO(record.tobytes()))


@pytest.mark.parametrize("name", ["cifar-10-binary.tar.gz", "cifar-10-binary.tar"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_cifar_packed_or_not_whatever_its_name_says(name, mode, tmp_path):
    write_cifar(tmp_path / name, mode)
    dataset = catalog.load("cifar10", data_dir=tmp_path)
    assert (len(dataset.train), len(dataset.test), dataset.train.y.tolist()) == (5, 1, [3] * 5)


@pytest.mark.parametrize(("data", "what"), [(PAGE, WEB), (POINTER, LFS)], ids=["page", "pointer"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_page_or_a_pointer_in_place_of_an_idx_file(data, what, packed, tmp_path, write_idx, mnist_arrays):
    folder = write_idx(mnist_arrays, tmp_path)
    for stem in mnist.STEMS:
        path = folder / f"{stem}.gz"
        sound = path.read_bytes()
        path.write_bytes(gzip.compress(data) if packed else data)
        with pytest.raises(DataError, match=rf"{stem}\.gz: not an IDX file, but {what}") as error:
            catalog.load("mnist", data_dir=folder)
        assert "\n" not in str(error.value)
        path.write_bytes(sound)


@pytest.mark.parametrize(("data", "what"), [(PAGE, WEB), (POINTER, LFS)], ids=["page", "pointer"])
def test_a_page_or_a_pointer_in_place_of_an_archive(data, what, tmp_path):
    (tmp_path / cifar.ARCHIVE).write_bytes(data)
    with pytest.raises(DataError, match=rf"{cifar.ARCHIVE}: not {cifar.ARCHIVE}, but {what}"):
        catalog.load("cifar10", data_dir=tmp_path)
    (tmp_path / emnist.ARCHIVE).write_bytes(data)
    with pytest.raises(DataError, match=rf"{emnist.ARCHIVE}: not a zip archive, but {what}"):
        catalog.load("emnist-digits", data_dir=tmp_path)


def test_a_page_in_place_of_a_batch_of_cifar(tmp_path):
    for name in cifar._FILES:
        (tmp_path / name).write_bytes(PAGE)
    with pytest.raises(DataError, match=rf"data_batch_1\.bin: expected records .* it is {WEB}"):
        catalog.load("cifar10", data_dir=tmp_path)


def test_a_zip_under_the_name_of_an_idx_file_is_named(tmp_path, write_idx, mnist_arrays):
    folder = write_idx(mnist_arrays, tmp_path)
    path = folder / f"{mnist.STEMS[0]}.gz"
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    (tmp_path / "packed.zip").replace(path)
    with pytest.raises(DataError, match="not an IDX file, but a zip archive: unpack it"):
        catalog.load("mnist", data_dir=folder)
