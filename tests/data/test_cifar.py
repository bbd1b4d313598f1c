"""CIFAR-10: read from archive and folder alike, never unpickled, never unpacked."""

import io
import tarfile

import numpy as np
import pytest

from nnlite.data import cifar
from nnlite.errors import DataError, DataNotFound

FILES = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]


def records(n: int, seed: int) -> bytes:
    data = np.random.default_rng(seed).integers(0, 256, (n, 3073), np.uint8)
    data[:, 0] = np.arange(n) % 10
    return data.tobytes()


def batches() -> dict[str, bytes]:
    return {name: records(3 + k, k) for k, name in enumerate(FILES)}


def write_tar(path, contents, folder="cifar-10-batches-bin"):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_folder(folder, contents):
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def test_archive_folder_and_the_folder_around_them_are_read_alike(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    archive = write_tar(tmp_path / "a" / cifar.ARCHIVE, batches())
    folder = write_folder(tmp_path / "b" / cifar.FOLDER, batches())
    results = [cifar.read(path) for path in (archive, archive.parent, folder, str(folder.parent))]
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_a_record_is_a_label_then_three_planes(tmp_path):
    contents = batches()
    train_x, train_y, test_x, test_y = cifar.read(write_tar(tmp_path / cifar.ARCHIVE, contents))
    assert (train_x.shape, train_x.dtype) == ((25, 3, 32, 32), np.uint8)
    assert (test_x.shape, train_y.shape, test_y.shape) == ((8, 3, 32, 32), (25,), (8,))
    raw = b"".join(contents[name] for name in FILES[:5])
    for row in (0, 2, 3, 24):
        record = raw[row * 3073 : (row + 1) * 3073]
        assert train_y[row] == record[0]
        assert train_x[row, 1, 2, 3] == record[1 + 1024 + 2 * 32 + 3]
        assert train_x[row].tobytes() == record[1:]


@pytest.mark.parametrize("name", ["test_batch.bin", "data_batch_3.bin"])
@pytest.mark.parametrize(
    "data",
    [b"", b"\1" * 3072, b"\1" * 3074, b"\12" + b"\0" * 3072],
    ids=["empty", "short", "long", "label 10"],
)
def test_wrong_records_are_refused_by_name(tmp_path, name, data):
    contents = {**batches(), name: data}
    for path in (write_tar(tmp_path / cifar.ARCHIVE, contents), write_folder(tmp_path / "f", contents)):
        with pytest.raises(DataError, match=name):
            cifar.read(path)


def test_an_archive_cut_anywhere_is_refused(tmp_path):
    path = write_tar(tmp_path / cifar.ARCHIVE, batches())
    data = path.read_bytes()
    for length in [*range(0, len(data), 997), *range(len(data) - 20, len(data))]:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=cifar.ARCHIVE):
            cifar.read(path)


def test_a_changed_checksum_is_noticed(tmp_path):
    path = write_tar(tmp_path / cifar.ARCHIVE, batches())
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="corrupt"):
        cifar.read(path)


def test_a_member_missing_or_twice_is_refused(tmp_path):
    contents = batches()
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        cifar.read(write_tar(tmp_path / "x.tar.gz", {k: v for k, v in contents.items() if "_2" not in k}))
    doubled = {**contents, "again/test_batch.bin": contents["test_batch.bin"]}
    with pytest.raises(DataError, match="twice"):
        cifar.read(write_tar(tmp_path / "y.tar.gz", doubled))


def test_paths_in_an_archive_write_nothing(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    cifar.read(write_tar(inner / cifar.ARCHIVE, batches(), folder="../../escaped"))
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", cifar.ARCHIVE]


def test_links_in_an_archive_are_not_followed(tmp_path):
    path = tmp_path / cifar.ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        for name in FILES:
            info = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    with pytest.raises(DataError, match=r"data_batch_1\.bin"):
        cifar.read(path)


# a Python pickle, written by hand, that calls pytest.fail("it was unpickled") when somebody reads it as one
BOMB = b"cpytest\nfail\n(Vit was unpickled\ntR."


@pytest.mark.parametrize("kind", ["archive", "folder", "around the folder", "around the archive", "renamed"])
def test_pickles_are_refused_and_never_read(tmp_path, kind):
    contents = {name.removesuffix(".bin"): BOMB for name in FILES}
    if "folder" in kind:
        path = write_folder(tmp_path / "cifar-10-batches-py", contents)
    else:
        name = cifar.ARCHIVE if kind == "renamed" else "cifar-10-python.tar.gz"
        path = write_tar(tmp_path / name, contents, "cifar-10-batches-py")
    with pytest.raises(DataError, match=r"is a Python pickle.*instead: cifar-10-binary\.tar\.gz"):
        cifar.read(path.parent if kind.startswith("around") else path)


def test_nothing_there(tmp_path):
    with pytest.raises(DataNotFound, match=cifar.ARCHIVE):
        cifar.read(tmp_path)
    with pytest.raises(DataNotFound):
        cifar.read(tmp_path / "none.tar.gz")
