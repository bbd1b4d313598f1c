"""Real trouble for a real run: eight worker processes, a SIGKILL every two seconds, a store that loses 5 % of requests
and replies, and a memcached that is restarted once. In the end the books are checked.

    python -m tests.trouble --protocol downpour --store memcached --data ../shared/data

It takes minutes, so no test runs it; `tests/runtime/test_ledger_for_real.py` does the like with a toy.

Downpour: every process writes down the updates that it creates in the store, or finds there. The final weights must be
those with which the last life of the run began (the first, or the durable checkpoint that was put back after the
restart) plus all updates that the final ledger names. A checkpoint is rounded to float32, so the sums differ by
rounding: by far less than any single update would change them.
Averaging: the final weights must be, byte for byte, those of a run without trouble.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nnlite import weights
from nnlite.commands import train
from nnlite.commands.program import run
from nnlite.invoker import local
from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.averaging import contribution
from nnlite.protocol.downpour import updates
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import LIFE, Keys
from nnlite.runtime import local_process
from nnlite.store import open_store
from nnlite.store.retry import Retrying
from tests.servers import BUCKET, CREDENTIALS, Memcached, seaweedfs

RECORD = "NNLITE_TEST_RECORD"  # names the folder in which processes write down what they saw
RUN = "trouble"
LEARNS = {  # what eight workers learn well with
    "averaging": [],
    "downpour": ["--optimizer", "sgd", "--learning-rate", "0.03", "--push-every", "5", "--pull-every", "5"],
}


# ---- what a process writes down


def record(folder: Path) -> None:
    """From now on write down every update, and first checkpoint of a life, that this process creates, or finds."""
    put, get, get_many = Retrying.put, Retrying.get, Retrying.get_many

    def putting(self: Retrying, key: str, data: Any, **how: Any) -> None:
        put(self, key, data, **how)
        keep(folder, key, data if isinstance(data, (bytes, bytearray, memoryview)) else b"".join(data))

    def getting(self: Retrying, key: str) -> Any:
        found = get(self, key)
        keep(folder, key, found.data)
        return found

    def getting_many(self: Retrying, keys: Any) -> Any:
        keys = list(keys)
        found = get_many(self, keys)
        for key, one in zip(keys, found, strict=True):
            if one is not None:
                keep(folder, key, one.data)
        return found

    Retrying.put, Retrying.get, Retrying.get_many = putting, getting, getting_many  # type: ignore[method-assign]


def keep(folder: Path, key: str, data: Any) -> None:
    """Write it down under key and content, once."""
    begins_life = "/ckpt/" in key and int(key.rpartition("/")[2]) % LIFE == 0
    if not ("/updates/" in key or begins_life):
        return
    path = folder / f"{key.replace('/', '+')}+{hashlib.sha256(data).hexdigest()[:16]}"
    if not path.exists():
        part = path.with_name(f"part-{os.getpid()}-{path.name}")
        part.write_bytes(data)
        part.rename(path)


# ---- the books


def check_downpour(folder: Path, last: Head, final: Any) -> str:
    """Final = what the last life began with + every update of it, once. -> what was compared"""
    keys, life = Keys(RUN), last.round // LIFE * LIFE
    first = contribution.decode(*only(folder, keys.checkpoint(life)))[0].vector
    total, sizes = np.array(first, np.float64), list[float]()
    for worker, applied in enumerate(last.applied):
        for seq in range(life + 1, applied + 1):
            update = updates.decode(*only(folder, keys.update(worker, seq)), len(first))
            assert (update.label.worker, update.label.seq) == (worker, seq)
            total += update.vector
            sizes.append(float(np.abs(update.vector).max()))
    off, num_checkpoints = float(np.abs(final - total).max()), last.round - life
    count, small = len(sizes), float(np.quantile(sizes, 0.01))  # what is left at a hand-over may be next to nothing
    limit = (num_checkpoints + count) * float(np.abs(total).max()) * 2.0**-24
    assert off <= limit, f"off by {off:g}, roundings explain {limit:g}"
    assert off < small / 2, f"off by {off:g}, and one in a hundred updates is as small as {small:g}"
    return (
        f"ledger holds in life {last.life}: {count} updates in {num_checkpoints} checkpoints; final weights = its "
        f"first + all of them, off by at most {off:.2g} (rounding explains {limit:.2g}; 99 in 100 are over {small:.2g})"
    )


def only(folder: Path, key: str) -> tuple[bytes, str]:
    """The one value that was ever seen under a key that never changes."""
    found = list(folder.glob(f"{key.replace('/', '+')}+*"))
    assert len(found) == 1, f"{key}: {len(found)} values were seen"
    return found[0].read_bytes(), key


def without_trouble(argv: list[str], folder: Path) -> tuple[Any, float]:
    """The weights and the accuracy of the same run on files, where nobody is killed."""
    out = folder / "calm.safetensors"
    assert run(train.main, train._parser(), [*argv, "--store", str(folder / "calm"), "--out", str(out)]) == 0
    head = open_store(str(folder / "calm")).get(Keys(RUN).head).data
    return weights.load(out).vector, float(Head.from_json(head, Keys(RUN).head).accuracy or 0.0)


def check(args: argparse.Namespace, argv: list[str], folder: Path, last: Head, final: Any) -> str:
    """The ledger or the bytes, and the accuracy. -> what was compared"""
    calm, accuracy = without_trouble(argv, folder)
    assert (last.accuracy or 0.0) > accuracy - 0.03, f"accuracy {last.accuracy}, without trouble {accuracy}"
    said = f"accuracy without trouble {accuracy:.4f}"
    if args.protocol == "downpour":
        return f"{said}\n{check_downpour(folder / 'seen', last, final)}"
    assert np.array_equal(calm, final), "the weights are others than those of a run without trouble"
    return f"{said}\nthe same {calm.size:,} weights, to the last bit, as of a run without trouble"


# ---- trouble


class Trouble(threading.Thread):
    """Kills a random worker process every so often; calls `once` after a while."""

    def __init__(self, every_s: float, once: Any, after_s: float):
        super().__init__(daemon=True)
        self.every_s, self.once, self.after_s = every_s, once, after_s
        self.platforms: list[LocalInvoker] = []
        self.num_killed, self.restarted, self.over = 0, False, threading.Event()

    def run(self) -> None:
        began_s, rng = time.monotonic(), random.Random(1)
        while not self.over.wait(self.every_s):
            pids = [pid for platform in self.platforms for pid in platform.pids()]
            if pids:
                os.kill(rng.choice(pids), signal.SIGKILL)
                self.num_killed += 1
            if self.once is not None and time.monotonic() - began_s > self.after_s:
                self.once()
                self.once, self.restarted = None, True


@contextlib.contextmanager
def a_store(kind: str, seed: int) -> Iterator[tuple[str, Any]]:
    """A server of its own. -> the URL of a store on it, and how to restart it"""
    faults = f"fault_rate=0.05&fault_seed={seed}"
    if kind == "memcached":
        with Memcached("-m", "512") as server:
            yield f"memcached://{server.address}/t?{faults}", server.restart
    else:
        os.environ.update(CREDENTIALS)
        with seaweedfs() as endpoint:
            yield f"s3://{BUCKET}/t?endpoint={endpoint}&{faults}", None


def main() -> int:
    """Train in trouble, and check."""
    args, more = _parser().parse_known_args()
    folder = Path(tempfile.mkdtemp(prefix="trouble-"))
    (folder / "seen").mkdir()
    local.MODULE, os.environ[RECORD] = "tests.trouble", str(folder / "seen")
    record(folder / "seen")
    out = folder / "w.safetensors"
    argv = [
        "--case",
        "emnist",
        "--run",
        RUN,
        "--data",
        args.data,
        "--protocol",
        args.protocol,
        "--workers",
        "8",
        *LEARNS[args.protocol],
        *more,
    ]
    with a_store(args.store, args.seed) as (url, restart):
        durable = folder / "durable"
        trouble = Trouble(args.every_s, restart, args.restart_after_s)
        watched(trouble)
        trouble.start()
        began_s = time.monotonic()
        place = ["--store", url, "--checkpoint-store", str(durable), "--processes", "8", "--max-attempts", "200"]
        code = run(train.main, train._parser(), [*argv, *place, "--out", str(out)])
        seconds = time.monotonic() - began_s
        trouble.over.set()
        trouble.join()
        if code:
            return code
        last = Head.from_json(open_store(str(durable)).get(Keys(RUN).head).data, Keys(RUN).head)
    restarted = "memcached restarted once, " if trouble.restarted else ""
    print(
        f"{args.protocol} on {args.store}: {seconds:.0f} s, {trouble.num_killed} processes killed, {restarted}"
        f"5 % of requests lost, life {last.life}, accuracy {last.accuracy}"
    )
    final = weights.load(out).vector
    local.MODULE = "nnlite.runtime.local_process"
    print(check(args, argv, folder, last, final))
    return 0


def watched(trouble: Trouble) -> None:
    """Let `trouble` know of every platform that is opened."""
    plain = LocalInvoker.__init__

    def opened(self: LocalInvoker, *args: Any, **more: Any) -> None:
        plain(self, *args, **more)
        trouble.platforms.append(self)

    LocalInvoker.__init__ = opened  # type: ignore[method-assign]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.trouble", epilog="what is left goes to tools.train")
    parser.add_argument("--protocol", choices=["averaging", "downpour"], default="averaging")
    parser.add_argument("--store", choices=["memcached", "s3"], default="memcached")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--every-s", type=float, default=2.0, help="between two kills (default %(default)s)")
    parser.add_argument("--restart-after-s", type=float, default=15.0, help="of memcached (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the store's faults")
    return parser


if __name__ == "__main__":
    if RECORD in os.environ:  # a worker process
        record(Path(os.environ[RECORD]))
        sys.exit(local_process.main())
    sys.exit(main())
