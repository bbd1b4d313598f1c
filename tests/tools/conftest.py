"""What the tests of `tools.train` share: an empty folder to stand in, tiny official files, and ways to run it."""

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nnlite.commands import train as tool
from nnlite.commands.program import run
from nnlite.data import cifar, emnist, idx, mnist
from tests.disks import small_disk
from tests.servers import credentials, memcached, s3

__all__ = ["credentials", "memcached", "s3", "small_disk"]
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """In a folder of one's own, without the user's data."""
    monkeypatch.delenv("NNLITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def train(capfd):
    """train(*argv): the command, in this process."""

    def call(*argv: object) -> Done:
        capfd.readouterr()
        code = run(tool.main, tool._parser(), [str(a) for a in argv])
        return Done(code, *capfd.readouterr())

    return call


@pytest.fixture
def start(monkeypatch):
    """start(*argv): the command as a process, in a group of its own, as a terminal would start it."""
    started: list[subprocess.Popen[str]] = []

    def call(*argv: object, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tools.train", *map(str, argv)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def write_idx(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Gzip IDX files."""
    folder.mkdir(parents=True)
    for stem, array in arrays.items():
        (folder / f"{stem}.gz").write_bytes(gzip.compress(idx.encode(array), compresslevel=1))


@pytest.fixture
def data_dir(tmp_path):
    """Tiny files in the official formats: MNIST, EMNIST, CIFAR-10."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    for folder, stems, classes in (("mnist", mnist.STEMS, 10), ("emnist", emnist.stems("bymerge"), 47)):
        arrays = {}
        for stem in stems:
            count = 60 if "train" in stem else 30
            images, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % classes
            arrays[stem] = images if "images" in stem else labels
        write_idx(root / folder, arrays)
    (root / "cifar10" / cifar.FOLDER).mkdir(parents=True)
    for name in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"):
        records = rng.integers(0, 256, (8, cifar.RECORD_BYTES), np.uint8)
        records[:, 0] = np.arange(8)
        (root / "cifar10" / cifar.FOLDER / name).write_bytes(records.tobytes())
    return root


CASE_FILE = '''
from dataclasses import dataclass
import numpy as np
from nnlite import cases, data, nn

@dataclass(frozen=True)
class Scale(nn.Layer):
    """y = factor * x"""
    factor: float = 2.0
    def forward(self, p, x, ws):
        print("a user prints what he likes")
        return np.multiply(x, self.factor, out=ws.output(x.shape))
    def backward(self, p, g, x, y, dy, ws):
        return dy * x.dtype.type(self.factor)

def rows():
    rng = np.random.default_rng(0)
    def split(n):
        x = rng.standard_normal((n, 6)).astype(np.float32)
        return data.Split(x, (x[:, 0] + x[:, 1] > 0).astype(np.uint8))
    return data.Dataset("pairs", split(NUM_TRAIN), split(50), 2, (), (0.0,), (1.0,))

def network(shape, num_classes):
    return nn.Sequential([nn.Dense(8), LAYER, nn.Tanh(), nn.Dense(num_classes)], shape)

case = cases.Case("My case", "sums of two", rows, network, nn.SGD(0.1), batch_size=10, num_rounds=3)
'''


@pytest.fixture
def case_file(tmp_path):
    """case_file(): the path of a user's case file with a layer of its own."""

    def write(num_train: int = 120, layer: str = "Scale(3.0)", more: str = "") -> Path:
        path = tmp_path / "my_case.py"
        path.write_text(CASE_FILE.replace("NUM_TRAIN", str(num_train)).replace("LAYER", layer) + more)
        return path

    return write
