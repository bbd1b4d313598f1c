"""Files that claim, or unpack to, far more than their format can need: refused in a line, in little memory."""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from nnlite.data import catalog, cifar, emnist, idx, mnist
from nnlite.errors import DataError

PEAK_BYTES = 8_000_000  # what reading may take, whatever the file claims
MB_16 = gzip.compress(bytes(1 << 24))  # gzip files in a row are one: 16 MB of zeros each
GB_2 = MB_16 * 128


def refused(read, *wanted: str) -> str:
    """The line in which `read()` is refused; it took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as error:
            read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    for word in wanted:
        assert word in text
    assert peak < PEAK_BYTES, f"{peak:,} bytes"
    return text


def header_of(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def cifar_of(path, *parts: bytes):
    path.write_bytes(gzip.compress(b"".join(parts)))
    return path


# ---- CIFAR-10


@pytest.mark.parametrize("name", ["readme.html", "cifar-10-batches-bin/data_batch_1.bin", "x" * 90])
@pytest.mark.parametrize("size", [2**62, 2**31, cifar.MOST_FILE_BYTES + 1])
def test_a_member_that_claims_more_than_any_file_of_cifar(name, size, tmp_path):
    path = cifar_of(tmp_path / cifar.ARCHIVE, header_of(name, size))
    refused(lambda: cifar.read(path), f"claims {size:,} bytes", name[:20], "30,730,000")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("zeros", [0, 128])
def test_a_header_of_a_member_that_claims_2_to_the_62_bytes(kind, zeros, tmp_path):
    """tarfile reads these whole, and at the end of the file would go on reading nothing."""
    path = tmp_path / cifar.ARCHIVE
    path.write_bytes(gzip.compress(header_of("header", 2**62, kind)) + MB_16 * zeros)
    why = "goes on where CIFAR-10 has nothing more" if zeros else "truncated or corrupt"
    refused(lambda: cifar.read(path), why)


def test_a_sparse_member(tmp_path):
    """512 bytes that unpack to 30 MB of zeros, as old GNU tar wrote them."""
    block = bytearray(header_of("cifar-10-batches-bin/test_batch.bin", 0, tarfile.GNUTYPE_SPARSE))
    block[483:495] = b"%011o\0" % (10_000 * 3073)
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    refused(lambda: cifar.read(cifar_of(tmp_path / cifar.ARCHIVE, bytes(block), bytes(1024))), "is sparse")


def test_a_member_of_2_gb_of_zeros_and_2_gb_behind_the_last(tmp_path):
    path = tmp_path / cifar.ARCHIVE
    path.write_bytes(gzip.compress(header_of("data_batch_1.bin", 2**31)) + GB_2)
    refused(lambda: cifar.read(path), "claims 2,147,483,648 bytes")
    path.write_bytes(gzip.compress(bytes(1024)) + GB_2)
    refused(lambda: cifar.read(path), "goes on where CIFAR-10 has nothing more")


def test_very_many_small_members(tmp_path):
    path = cifar_of(tmp_path / cifar.ARCHIVE, *[header_of("a", 0)] * 5_000)
    refused(lambda: cifar.read(path), "more than 100 files")


def test_a_batch_in_a_folder_that_is_too_long(tmp_path):
    for name in cifar._FILES:
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 2**33)  # a hole: it takes no room on the disk
    refused(lambda: cifar.read(tmp_path), "data_batch_1.bin", "8,589,934,592 bytes")


# ---- IDX, MNIST


def idx_header(*shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


@pytest.mark.parametrize("packed", [True, False])
def test_an_array_that_ends_later_than_its_header_says(packed, tmp_path):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_header(10, 28, 28)) + GB_2 if packed else idx_header(10, 28, 28))
    if not packed:
        os.truncate(path, 2**29)
    refused(lambda: idx.read(path), "images: too long: expected 7856 bytes")


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1), (2**31,), (1,) * 200 + (2**31,)])
def test_a_header_that_claims_more_than_can_be(shape, tmp_path):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_header(*shape)) + GB_2)
    refused(lambda: idx.read(path), "its header claims", "1,073,741,824 can be")


def test_a_file_whose_data_are_not_there_takes_no_memory(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_header(1_000_000, 28, 28) + bytes(100)))
    refused(lambda: idx.read(path), "truncated: expected 784000016 bytes", "found 116")


def test_a_dataset_has_no_more_rows_than_its_official_one(tmp_path, write_idx, mnist_arrays):
    """A million black images are a sound IDX file, but not MNIST."""
    folder = write_idx(mnist_arrays, tmp_path)
    (folder / f"{mnist.STEMS[0]}.gz").write_bytes(gzip.compress(idx_header(1_000_000, 28, 28)) + GB_2)
    refused(lambda: catalog.load("mnist", data_dir=folder), "claims 784,000,000 bytes, 47,040,000 can be")
    (folder / f"{mnist.STEMS[0]}.gz").write_bytes(gzip.compress(idx.encode(mnist_arrays[mnist.STEMS[0]])))
    (folder / f"{mnist.STEMS[1]}.gz").write_bytes(gzip.compress(idx_header(500_000)) + MB_16)
    refused(lambda: catalog.load("mnist", data_dir=folder), "claims 500,000 bytes, 480,000 can be")


# ---- EMNIST


def arrays_of(split: str) -> dict[str, np.ndarray]:
    return {s: np.zeros((5, 28, 28) if "images" in s else 5, np.uint8) for s in emnist.stems(split)}


def zip_of(path, **more: bytes):
    """An archive of `digits`, with more members, deflated."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        members = {f"{stem}.gz": gzip.compress(idx.encode(array)) for stem, array in arrays_of("digits").items()}
        for name, data in {**members, **more}.items():
            archive.writestr(f"gzip/{name}", data)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_mapping_of_gigabytes(suffix, tmp_path, write_idx):
    folder = write_idx(arrays_of("digits"), tmp_path)
    path = folder / f"emnist-digits-mapping.txt{suffix}"
    path.write_bytes(MB_16 * 32 if suffix else b"")  # half a gigabyte in half a megabyte
    if not suffix:
        os.truncate(path, 2**30)
    why = "goes on behind 10,000 bytes" if suffix else "needs 10,000 at most"
    refused(lambda: emnist.read(folder, "digits"), "emnist-digits-mapping.txt", why)


@pytest.mark.parametrize(
    ("name", "most"), [("emnist-digits-mapping.txt", "10,000"), (f"{emnist.stems('digits')[1]}.gz", "320,000")]
)
def test_a_member_of_a_zip_that_unpacks_to_zeros(name, most, tmp_path):
    path = zip_of(tmp_path / emnist.ARCHIVE, **{name: bytes(1 << 26)})
    refused(lambda: emnist.read(path, "digits", 40_000), name, "67,108,864 bytes", f"needs {most} at most")


def test_a_gzip_in_a_zip_that_unpacks_to_zeros(tmp_path):
    name = f"{emnist.stems('digits')[0]}.gz"
    path = zip_of(tmp_path / emnist.ARCHIVE, **{name: gzip.compress(idx_header(5, 28, 28)) + GB_2})
    refused(lambda: emnist.read(path, "digits"), name, "too long")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_not_read(method, tmp_path):
    path = tmp_path / emnist.ARCHIVE
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(f"{emnist.stems('digits')[0]}.gz", bytes(1 << 20))
    refused(lambda: emnist.read(path, "digits"), f"method {method}")


@pytest.mark.parametrize("wide", [False, True])
def test_a_list_of_very_many_files(wide, tmp_path):
    path = tmp_path / emnist.ARCHIVE
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", b"")
    one = buffer.getvalue()
    entry = one[one.index(b"PK\1\2") : one.index(b"PK\5\6")]
    count = 30_000
    begin = one.index(b"PK\1\2")
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 100 if wide else len(entry) * count, begin, 0)
    if wide:  # ZIP64: sizes of 64 bits, which count for zipfile wherever they are there
        at = begin + len(entry) * count
        record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(entry) * count, begin)
        end = record + struct.pack("<4sIQI", b"PK\6\7", 0, at, 1) + end
    path.write_bytes(one[:begin] + entry * count + end)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == count  # it is what it pretends to be
    refused(lambda: emnist.read(path, "digits"), "list of files is longer")
