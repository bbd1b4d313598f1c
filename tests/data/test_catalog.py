"""The catalog: where it looks, in which order, what it refuses, and what it says."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnlite import data
from nnlite.data import catalog, download, emnist, idx, mnist
from nnlite.data.entries import ENTRIES
from nnlite.errors import DataError, DataNotFound, UsageError


def no_download(name, **where):
    return catalog.load(name, download=False, **where)


def with_first_pixel(arrays, value):
    changed = {stem: array.copy() for stem, array in arrays.items()}
    changed[mnist.STEMS[0]][0, 0, 0] = value
    return changed


def first_pixel(dataset) -> int:
    return int(dataset.train.x[0, 0, 0, 0])


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UsageError) as error:
        catalog.load("imagenet")
    assert all(name in str(error.value) for name in catalog.names())
    assert data.names() == catalog.names()
    assert {"mnist", "fashion-mnist", "fashion-sample", "emnist-bymerge", "cifar10", "bits"} <= set(data.names())


@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_data_folder_may_be_the_folder_itself_or_have_it_inside(folder, packed, tmp_path, mnist_arrays, write_idx):
    inner = write_idx(mnist_arrays, tmp_path / folder)
    if not packed:
        for path in inner.glob("*.gz"):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    dataset = no_download("mnist", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train.x[:, 0], mnist_arrays[mnist.STEMS[0]])
    np.testing.assert_array_equal(dataset.test.y, mnist_arrays[mnist.STEMS[3]])
    assert (dataset.input_shape, dataset.num_classes) == ((1, 28, 28), 10)
    assert dataset.note == "subset: 20 of 60,000 train, 10 of 10,000 test"


def test_flag_before_environment_before_cache(tmp_path, mnist_arrays, write_idx, monkeypatch):
    flag, variable, cache = (
        write_idx(with_first_pixel(mnist_arrays, value), tmp_path / name)
        for value, name in ((1, "flag"), (2, "variable"), (3, "cache/nnlite/mnist"))
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert first_pixel(no_download("mnist")) == 3
    assert first_pixel(no_download("mnist", cache_dir=cache.parent)) == 3
    monkeypatch.setenv("NNLITE_DATA", str(variable))
    assert first_pixel(no_download("mnist")) == 2
    assert first_pixel(no_download("mnist", data_dir=flag)) == 1


def test_a_data_folder_without_the_files_is_an_error_although_the_cache_has_them(
    tmp_path, mnist_arrays, write_idx, monkeypatch
):
    write_idx(mnist_arrays, tmp_path / "cache/nnlite/mnist")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    empty = tmp_path / "empty"
    with pytest.raises(DataNotFound) as error:
        catalog.load("mnist", data_dir=empty)
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in (f"data='{empty}'", "MNIST/raw", *(f"{s}.gz" for s in mnist.STEMS)))
    monkeypatch.setenv("NNLITE_DATA", str(empty))
    with pytest.raises(DataNotFound, match="NNLITE_DATA="):
        catalog.load("mnist")


def test_three_of_the_four_files_are_not_the_dataset(tmp_path, mnist_arrays, write_idx):
    folder = write_idx(mnist_arrays, tmp_path)
    (folder / f"{mnist.STEMS[3]}.gz").unlink()
    with pytest.raises(DataNotFound):
        catalog.load("mnist", data_dir=folder)
    with pytest.raises(DataNotFound, match=mnist.STEMS[3]):
        mnist.read(folder)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "emnist-bymerge"])
@pytest.mark.parametrize("allowed", [True, False])
def test_nothing_reachable_names_the_three_ways_in_one_line(name, allowed, tmp_path, monkeypatch):
    def unreachable(urls, target, md5, *, progress=None):
        raise DataNotFound(f"cannot download {target.name}: no route to host")

    monkeypatch.setattr(download, "fetch", unreachable)
    with pytest.raises(DataNotFound) as error:
        catalog.load(name, cache_dir=tmp_path, download=allowed)
    message = str(error.value)
    assert "\n" not in message
    for words in (
        "data=DIR", "NNLITE_DATA", ENTRIES[name].expected,
        f"python -m tools.data fetch {name}", str(catalog.cache_folder(name, tmp_path)),
        "dataset='fashion-sample'", "no route to host" if allowed else "switched off",
    ):  # fmt: skip
        assert words in message


def test_what_is_downloaded_is_loaded_from_the_cache(tmp_path, mnist_arrays, write_idx, monkeypatch):
    source = write_idx(mnist_arrays, tmp_path / "source")
    asked = []

    def fake(urls, target, md5, *, progress=None):
        asked.append((target.name, md5, urls[0].startswith("https://")))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / target.name, target)

    monkeypatch.setattr(download, "fetch", fake)
    dataset = catalog.load("mnist", cache_dir=tmp_path / "c")
    assert len(dataset.train) == 20
    assert asked == [(r.name, r.md5, True) for r in ENTRIES["mnist"].resources]
    assert catalog.load("mnist", cache_dir=tmp_path / "c").digest() == dataset.digest()
    assert len(asked) == 4


def test_a_wrong_checksum_is_not_hidden_by_the_three_ways(tmp_path, monkeypatch):
    def wrong(*_, **__):
        raise DataError("wrong checksum")

    monkeypatch.setattr(download, "fetch", wrong)
    with pytest.raises(DataError, match="wrong checksum"):
        catalog.load("mnist", cache_dir=tmp_path)


def test_generated_and_bundled_data_are_not_downloaded():
    for name in ("bits", "fashion-sample"):
        with pytest.raises(UsageError):
            catalog.fetch(name)
        assert no_download(name).name == name


@pytest.mark.parametrize(
    ("stem", "array", "words"),
    [
        (1, np.zeros((20, 28, 28), np.uint8), "mislabelled"),
        (1, np.zeros(20, np.float32), "mislabelled"),
        (1, np.full(20, 10, np.uint8), "labels 0 to 9, found 10 to 10"),
        (1, np.full(20, -1, np.int8), "found -1"),
        (1, np.zeros(19, np.uint8), "20 images, 19 labels"),
        (3, np.zeros(11, np.uint8), "10 images, 11 labels"),
        (0, np.zeros(20, np.uint8), "expected images"),
        (2, np.zeros((10, 28, 28), np.int16), "expected images"),
        (2, np.zeros((10, 27, 28), np.uint8), "train has rows"),
    ],
)
def test_mislabelled_files_are_refused_by_name(stem, array, words, tmp_path, mnist_arrays, write_idx):
    write_idx({**mnist_arrays, mnist.STEMS[stem]: array}, tmp_path)
    with pytest.raises(DataError, match=words) as error:
        catalog.load("mnist", data_dir=tmp_path)
    assert "train has rows" in words or mnist.STEMS[stem] in str(error.value)


def test_mnist_and_fashion_are_told_apart_although_the_files_have_the_same_names(tmp_path, monkeypatch):
    sample = catalog.SAMPLE
    import hashlib

    labels = idx.read(sample / f"{mnist.STEMS[3]}.gz").tobytes()
    fashion = replace(ENTRIES["fashion-mnist"], labels_md5=hashlib.md5(labels).hexdigest())
    monkeypatch.setitem(ENTRIES, "fashion-mnist", fashion)
    assert len(catalog.load("fashion-mnist", data_dir=sample).train) == 6000
    with pytest.raises(DataError, match="these are the files of fashion-mnist, not of mnist"):
        catalog.load("mnist", data_dir=sample)


def test_a_pickled_cifar_is_refused_rather_than_not_found(tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz"):
        catalog.load("cifar10", data_dir=tmp_path)


def test_emnist_comes_with_the_names_of_its_mapping(tmp_path, write_idx):
    images, labels = np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)
    folder = tmp_path / "emnist"
    write_idx({s: images if "images" in s else labels for s in emnist.stems("digits")}, folder)
    (folder / "emnist-digits-mapping.txt").write_text("".join(f"{k} {97 + k}\n" for k in range(10)))
    dataset = catalog.load("emnist-digits", data_dir=tmp_path)
    assert dataset.class_names == tuple("abcdefghij")
    assert dataset.note == "subset: 4 of 240,000 train, 4 of 40,000 test"


def test_the_environment_is_read_in_one_function_only():
    package = Path(catalog.__file__).parent
    readers = [path.name for path in package.rglob("*.py") if "environ" in path.read_text().replace("environment", "")]
    assert readers == ["catalog.py"]


def test_nothing_is_ever_unpickled():
    package = Path(catalog.__file__).parent
    for path in package.rglob("*.py"):
        assert "import pickle" not in path.read_text()
        assert "allow_pickle" not in path.read_text().replace("allow_pickle=False", "")


def test_all_urls_are_http_and_all_checksums_md5():
    resources = [resource for entry in ENTRIES.values() for resource in entry.resources]
    assert len(resources) == 4 + 4 + 1 + 6
    for resource in resources:
        assert len(bytes.fromhex(resource.md5)) == 16
        assert all(url.startswith(("https://", "http://")) for url in resource.urls)
        assert all(url.endswith("/" + resource.name) for url in resource.urls)
