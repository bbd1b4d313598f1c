"""What the tests of OpenFaaS share: packed functions, their secret, a gateway, and EMNIST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nnlite import data
from nnlite.commands import door
from nnlite.data import Dataset
from nnlite.invoker.openfaas.gateway import Gateway
from tests import real_data
from tests.platform.openfaas.gateway import PASSWORD, USER, FakeGateway, pack, running
from tests.servers import Memcached, need_memcached

SECRET = b"a secret of tests, of 32 bytes.."


@pytest.fixture(scope="session")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that tools.deploy has faas-cli build in."""
    folder = tmp_path_factory.mktemp("deployed")
    argv = ["--platform", "openfaas", "--image-prefix", "r/x", "--build-dir", str(folder / "build")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")  # neither faas-cli nor kubectl
        patch.setenv("NNLITE_OPENFAAS_SECRET_FILE", str(folder / "hmac.secret"))
        assert door.enter("deploy", argv) == 1
    return folder / "build"


@pytest.fixture(scope="session")
def packed(assembled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both functions, as images would hold them."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("emnist-setup", "emnist-train"):
        pack(name, folder, (), assembled)
    return folder


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is mounted into functions."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "nnlite-hmac").write_bytes(SECRET + b"\n")
    return folder


@pytest.fixture(scope="session")
def shared_memcached() -> Iterator[Memcached]:
    """The memcached of a cluster: room for the whole of EMNIST's subset, cut three ways."""
    need_memcached()
    with Memcached("-m", "1024") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(packed: Path, secrets: Path) -> Iterator[FakeGateway]:
    """A gateway with emnist-train, which has one slot a replica, as in stack.yaml."""
    with running() as gateway:
        environment = {"secret_mount_path": str(secrets), "exec_timeout": "120s", "max_inflight": "1"}
        gateway.deploy("emnist-train", packed / "emnist-train", environment)
        yield gateway


@pytest.fixture(autouse=True)
def _calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Faults and functions that a test brings end with it, also when it fails."""
    cluster: FakeGateway | None = request.getfixturevalue("cluster") if "cluster" in request.fixturenames else None
    before = set(cluster.functions) if cluster else set()
    yield
    if cluster:
        cluster.faults.clear()
        for name in cluster.functions.keys() - before:
            cluster.functions.pop(name).retire()


def client(cluster: FakeGateway, secret: bytes = SECRET, password: str = PASSWORD) -> Gateway:
    return Gateway(cluster.url, USER, password, secret)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The bundled images of clothes, in files of EMNIST's format."""
    folder = real_data.write_sample(tmp_path_factory.mktemp("data"))
    return data.load("emnist-bymerge", data_dir=folder)


@pytest.fixture(scope="session")
def emnist() -> Dataset:
    """The images of EMNIST, where they are."""
    return data.load("emnist-bymerge", data_dir=real_data.full("emnist"))
