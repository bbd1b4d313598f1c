"""`tools.bench emnist`: seconds until 0.75 on EMNIST, beside the loop of the system this part follows."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nnlite import data
from nnlite.commands import options, platforms
from nnlite.errors import RunError, UsageError
from nnlite.invoker.base import Invoker
from nnlite.platform.base import Platform, Pricing
from nnlite.platform.local import Local
from nnlite.platform.openfaas.functions import OpenFaaS
from nnlite.protocol.averaging.contribution import Summary
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import lifecycle, plan
from nnlite.runs.job import Job
from nnlite.store import Store, open_store
from tools.bench.original import Original, Shared

LOOK_EVERY = 100  # minibatches between two looks at the original's accuracy
MAX_MINIBATCHES = 40_000
STEPS_PER_ROUND = 250  # of ours, per worker
LEARNING_RATE = 0.1  # SGD, of one worker; of W it is W times that, as W times the samples are behind an average


@dataclass(frozen=True)
class Setting:
    """What both sides have in common."""

    dataset: data.Dataset
    batch_size: int
    target: float
    host: str
    port: int


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "emnist",
        help="seconds to an accuracy on EMNIST, through memcached, beside the original loop",
        description="Train case emnist to a test accuracy, with weights in memcached: the loop of the system that "
        "came before, and ours with one worker and more, in turns.",
        epilog="example: python -m tools.bench emnist --data ../shared/data --workers 1,2",
    )
    parser.add_argument("--data", metavar="DIR", help="where dataset files are (or NNLITE_DATA)")
    parser.add_argument("--dataset", default="emnist-bymerge", help="default %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default %(default)s")
    parser.add_argument("--target", type=float, default=0.75, help="test accuracy (default %(default)s)")
    parser.add_argument("--workers", type=counts, default=(1, 2), metavar="1,2", help="default 1,2")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, in turns (default %(default)s)")
    parser.add_argument("--minibatches", type=int, default=50, help="of the original to time a round")
    parser.add_argument("--memcached", metavar="HOST:PORT", help="default: one of its own, ended afterwards")
    add_places(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.set_defaults(do=main)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where ours runs: its options."""
    names = [Local.name, OpenFaaS.name]
    parser.add_argument("--platform", choices=names, default=Local.name, help="default %(default)s")
    options.add(parser, OpenFaaS, [one.name for one in fields(OpenFaaS)])


def platform_of(args: argparse.Namespace) -> Platform:
    """Where ours runs: as these options say. Raises UsageError for what cannot be meant there."""
    found = platforms.of(args)
    found.check(Job(case="emnist", store=args.store), Pricing())
    return found


def invoker_of(platform: Platform, spec: RunSpec, store: Store) -> Invoker | None:
    """What starts the run's workers there, once it is seen that it can."""
    platform.prepare(spec, store.url)
    return platform.open(spec, store)


def main(args: argparse.Namespace) -> int:
    """Measure in turns, and print a row for each."""
    if args.rounds < 1 or args.minibatches < 1 or args.batch_size < 1 or not 0 < args.target < 1:
        raise UsageError("--rounds, --minibatches and --batch-size: wanted at least 1; --target: between 0 and 1")
    dataset = data.load(args.dataset, data_dir=Path(args.data) if args.data else None)
    with memcached(args.memcached) as (host, port):
        args.store = f"memcached://{host}:{port}/bench"
        platform_of(args)
        setting = Setting(dataset, args.batch_size, args.target, host, port)
        for row in measure(setting, args):
            print(json.dumps(row) if args.json else shown(row), flush=True)
    return 0


def measure(setting: Setting, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for the original, as it came and without delays in its client, and for ours with each number of workers."""
    workers, needed = args.workers, minibatches_to_target(setting)
    step_s: dict[bool, list[float]] = {False: [], True: []}
    ours: dict[int, list[tuple[float, float]]] = {count: [] for count in workers}
    for repetition in range(args.rounds):
        for no_delay, seconds in step_s.items():
            seconds.append(original_step_s(setting, no_delay, args.minibatches))
        for count, times in ours.items():
            times.append(ours_s(setting, args, count, f"bench-{count}-{repetition}-{time.time_ns()}"))
    first_s = median(step_s[False]) * needed
    for no_delay, seconds in step_s.items():
        name = "original, TCP_NODELAY" if no_delay else "original"
        about = {"minibatches": needed, "minibatch_ms": round(1000 * median(seconds), 2)}
        yield _row(name, 1, median(seconds) * needed, first_s, about)
    alone_s = median(rounds_s for _, rounds_s in ours[workers[0]])
    for count, times in ours.items():
        rounds_s = median(rounds_s for _, rounds_s in times)
        about = {"rounds_s": round(rounds_s, 2), "of_the_first": rounds_s / alone_s}
        yield _row("nnlite", count, median(all_s for all_s, _ in times), first_s, about)


def _row(name: str, workers: int, seconds: float, first_s: float, more: dict[str, Any]) -> dict[str, Any]:
    return {"loop": name, "workers": workers, "seconds": round(seconds, 2), "times_faster": first_s / seconds, **more}


def shown(row: dict[str, Any]) -> str:
    """A row for people."""
    about = (
        f"{row['minibatches']:,} minibatches of {row['minibatch_ms']:.1f} ms"
        if "minibatches" in row
        else f"{row['rounds_s']:.2f} s without start-up, {row['of_the_first']:.2f} of the first"
    )
    return f"{row['loop']:<22} {row['workers']} workers {row['seconds']:9.2f} s {row['times_faster']:7.1f}x   {about}"


# ---- the original


def _pixels(split: data.Split) -> np.ndarray:
    """(N, D) float64 in 0..1"""
    return split.x.reshape(len(split.x), -1) / 255.0


def minibatches_to_target(setting: Setting) -> int:
    """How many its arithmetic needs; without the store, which changes nothing of it for one worker."""
    train, test = setting.dataset.train, setting.dataset.test
    x, test_x, size = _pixels(train), _pixels(test), setting.batch_size
    model = Original(x.shape[1], setting.dataset.num_classes)
    per_epoch = len(x) // size  # it left out the rest
    for done in range(MAX_MINIBATCHES):
        if done % LOOK_EVERY == 0 and model.accuracy(test_x, test.y) >= setting.target:
            return done
        rows = slice((done % per_epoch) * size, (done % per_epoch + 1) * size)  # in the order of the file
        model.step(x[rows], train.y[rows])
    raise RunError(f"the original did not reach {setting.target} in {MAX_MINIBATCHES:,} minibatches")


def original_step_s(setting: Setting, no_delay: bool, minibatches: int) -> float:
    """Seconds a minibatch, weights fetched and stored around it."""
    size = setting.batch_size
    x, y = _pixels(setting.dataset.train.take(np.arange(size))), setting.dataset.train.y[:size]
    model, shared = Original(x.shape[1], setting.dataset.num_classes), Shared(setting.host, setting.port, no_delay)
    shared.store(model)
    began_s = time.perf_counter()
    for _ in range(minibatches):
        shared.fetch(model)
        model.step(x, y)
        shared.store(model)
    shared.fetch(model)  # waits until all is stored
    seconds = time.perf_counter() - began_s
    shared.close()
    return seconds / minibatches


# ---- ours


def ours_s(setting: Setting, args: argparse.Namespace, workers: int, run: str) -> tuple[float, float]:
    """Seconds from the first invocation to the end of the run; and those of its rounds alone, without the start of
    processes, and without what comes before and after."""
    job = Job(
        case="emnist", workers=workers, run=run, batch_size=setting.batch_size, rounds=100,
        steps_per_round=STEPS_PER_ROUND, target_accuracy=setting.target, learning_rate=LEARNING_RATE * workers,
        optimizer="sgd",
    )  # fmt: skip
    spec = replace(plan.plan(job, setting.dataset)[1], max_poll_s=0.03)
    with open_store(args.store) as store:
        lifecycle.begin(store, store, spec, setting.dataset)
        invoker = invoker_of(platform_of(args), spec, store)
        began_s = time.perf_counter()
        last = lifecycle.Driver(store, spec, invoker).drive(dict.fromkeys(range(workers), 1))
        if last.accuracy is None or last.accuracy < setting.target:
            raise RunError(f"ours did not reach {setting.target}, but {last.accuracy}")
        return time.perf_counter() - began_s, rounds_s(store, Keys(spec.run), last.round)


def rounds_s(store: Store, keys: Keys, last: int) -> float:
    """Seconds of the rounds up to `last`, as their summaries say; of those that are there. Raises StoreError for one
    that is none."""
    names = [keys.summary(number) for number in range(last + 1)]
    found = zip(names, store.get_many(names), strict=True)
    return sum(Summary.from_json(one.data, name).seconds or 0.0 for name, one in found if one)


# ---- memcached


@contextlib.contextmanager
def memcached(address: str | None) -> Iterator[tuple[str, int]]:
    """Where it listens: as given, or one that is started here and ended with the benchmark."""
    if address:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise UsageError(f"--memcached {address}: wanted HOST:PORT")
        yield host, int(port)
        return
    program = shutil.which("memcached")
    if program is None:
        raise UsageError("memcached is not installed here: apt-get install memcached, or --memcached HOST:PORT")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port_number = free.getsockname()[1]
    process = subprocess.Popen([program, "-u", "nobody", "-l", "127.0.0.1", "-p", str(port_number), "-m", "1024"])
    try:
        _wait_for(port_number)
        yield "127.0.0.1", port_number
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RunError(f"memcached did not start on port {port}")


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers from 1, as in 1,2,3; for argparse."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted whole numbers from 1, like 1,2,3")
    return found
