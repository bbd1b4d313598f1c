"""The plan of a run: from what the command line says, and the case's defaults, to a specification."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from nnlite import cases, configured, data, nn
from nnlite.commands._stores import absolute, is_near
from nnlite.errors import UsageError
from nnlite.protocol.spec import PROTOCOLS, RunSpec
from nnlite.runtime import standard

SCHEDULES = ("constant", "cosine")
DURABLE_EVERY = {"averaging": 1, "downpour": 100}  # checkpoints between two copies, unless somebody says otherwise


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to train, and how."""
    what = parser.add_argument_group("what")
    what.add_argument("--case", help=f"{', '.join(cases.CASES)}, or a Python file of your own that defines `case`")
    what.add_argument("--dataset", help="instead of the case's: see `python -m tools.data list`")
    what.add_argument("--data", metavar="DIR", help="where dataset files are (or NNLITE_DATA); else they are fetched")
    what.add_argument("--augment", type=_augment, metavar="HOW", help="none, or flip and/or crop:PIXELS: flip,crop:4")
    how = parser.add_argument_group("how")
    length = how.add_mutually_exclusive_group()
    length.add_argument("--rounds", type=int, help="train, average, adopt: so many times")
    length.add_argument("--epochs", type=int, help="the same counted in passes over the data")
    how.add_argument("--steps-per-round", type=int, metavar="N", help="minibatches a round (default: a local epoch)")
    how.add_argument("--target-accuracy", type=float, metavar="A", help="stop at this test accuracy, say 0.97")
    how.add_argument("--batch-size", type=int, metavar="N", help="samples a step")
    how.add_argument("--optimizer", help=", ".join(cases.OPTIMIZERS))
    how.add_argument("--learning-rate", type=float, metavar="R")
    how.add_argument("--schedule", choices=SCHEDULES, help="of the learning rate: cosine lets it end near 0 (constant)")
    how.add_argument("--seed", type=int, default=0, help="same seed, same weights (default 0)")
    how.add_argument(
        "--eval-every", type=int, metavar="N", help="rounds between test accuracies (1; downpour: the end)"
    )
    how.add_argument("--protocol", choices=PROTOCOLS, default="averaging", help="averaging (default) or downpour")
    how.add_argument("--push-every", type=int, metavar="N", help="downpour: steps between updates (10)")
    how.add_argument("--pull-every", type=int, metavar="N", help="downpour: steps between checkpoints (10)")
    how.add_argument("--max-staleness", type=int, metavar="S", help="downpour: checkpoints an update may be late (any)")
    how.add_argument("--staleness-aware", action="store_true", help="downpour: smaller steps for late updates")
    how.add_argument("--wire", metavar="FORM", help="downpour: updates as float32 (default), float16 or topk:1%%")
    how.add_argument("--quorum", type=int, metavar="Q", help="averaging: so many workers may close a late round (all)")
    how.add_argument(
        "--max-attempts", type=int, default=10, metavar="N", help="deaths of one worker that end a run (10)"
    )
    how.add_argument("--max-minutes", type=float, metavar="M", help="stop a run whose workers were at it for so long")
    trace = argparse.BooleanOptionalAction
    how.add_argument(
        "--trace", action=trace, default=True, help="write down what workers do, for tools.report (default)"
    )
    how.add_argument("--threads", type=int, default=1, metavar="T", help="of a worker, for images (default 1)")


def widths(text: str) -> tuple[int, ...]:
    """The widths of a merge tree: 1,4,20."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted numbers, root to workers, like 1,4,20") from None


def _augment(text: str) -> data.Augment:
    """none | flip | crop:4 | flip,crop:4"""
    if text == "none":
        return data.Augment()
    flip, crop = False, 0
    for part in text.split(","):
        found = re.fullmatch(r"flip|crop:(\d+)", part)
        if found is None:
            raise argparse.ArgumentTypeError(f"{text!r}: wanted none, flip, crop:PIXELS, or flip,crop:PIXELS")
        flip, crop = flip or part == "flip", int(found[1] or crop)
    return data.Augment(flip, crop)


def plan(args: argparse.Namespace) -> tuple[data.Dataset, RunSpec]:
    """The dataset, and the specification that the command line describes."""
    if not args.case:
        raise UsageError(f"which case? --case {'|'.join(cases.CASES)}, a file of your own, or --resume RUN")
    case, file = configured.find(args.case)
    dataset = cases.dataset(case, args.dataset, Path(args.data) if args.data else None)
    network = cases.network(case, dataset)
    optimizer = cases.optimizer(case, args.optimizer, args.learning_rate)
    batch_size = args.batch_size if args.batch_size is not None else case.batch_size
    num_rounds = _num_rounds(args, case, dataset, batch_size)
    if args.schedule == "cosine":
        per_round = args.steps_per_round or _steps_per_epoch(args, dataset, batch_size)
        optimizer = _falling(optimizer, num_rounds * per_round)
    spec = standard.specify(
        case,
        network,
        optimizer,
        standard.data_spec(dataset, _augmentation(args, case, dataset), absolute(data_store(args))),
        args.workers,
        args.tree,
        run=args.run,
        seed=args.seed,
        num_rounds=num_rounds,
        batch_size=batch_size,
        protocol=args.protocol,
        **_pace(args),
        threads=args.threads,
        steps_per_round=args.steps_per_round,
        target_accuracy=args.target_accuracy,
        checkpoint_every=args.checkpoint_every or (DURABLE_EVERY[args.protocol] if args.checkpoint_store else 0),
        checkpoint_store=absolute(args.checkpoint_store),
        max_attempts=args.max_attempts,
        max_s=args.max_minutes * 60 if args.max_minutes is not None else None,
        # a look at a local file costs microseconds, and waiting for the next look, images; far away a look costs more
        max_poll_s=0.03 if is_near(args.store) else 2.0,
        lease_ttl_s=max(60.0, 2.0 * args.workers),  # many workers take turns in a process, and beat as seldom
        straggler_timeout_s=max(30.0, 1.0 * args.workers),
        trace=args.trace,
        case_file=str(file) if file and cases.has_own_classes((*network.layers, network.loss, optimizer)) else None,
    )
    return dataset, spec


PROTOCOL_OF = {  # the options that only one of the protocols has
    "quorum": "averaging",
    "push_every": "downpour",
    "pull_every": "downpour",
    "max_staleness": "downpour",
    "staleness_aware": "downpour",
    "wire": "downpour",
}


def _pace(args: argparse.Namespace) -> dict[str, Any]:
    """What the protocol goes by, as far as it was given."""
    given = {name: value for name in PROTOCOL_OF if (value := getattr(args, name)) not in (None, False)}
    for name in given:
        if args.protocol != PROTOCOL_OF[name]:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} is for --protocol {PROTOCOL_OF[name]}, and this is {args.protocol}: leave it out")
    if args.eval_every is not None:
        given["eval_every"] = args.eval_every
    elif args.protocol == "downpour":
        given["eval_every"] = 1 if args.target_accuracy is not None else 0
    return given


def data_store(args: argparse.Namespace) -> str | None:
    """Where the shards go, if not to the run's own store: as asked, or where they outlast a memcached."""
    if args.data_store is not None:
        return str(args.data_store)
    forgets = args.store.startswith("memcached://")
    return args.checkpoint_store if forgets else None


def _augmentation(args: argparse.Namespace, case: cases.Case, dataset: data.Dataset) -> data.Augment | None:
    augment = args.augment if args.augment is not None else case.augment
    if augment is None or not (augment.flip or augment.crop):
        return None
    if len(dataset.input_shape) != 3:
        raise UsageError(f"--augment is for images, and {dataset.name} has rows of {dataset.input_shape}: leave it out")
    return augment


def _num_rounds(args: argparse.Namespace, case: cases.Case, dataset: data.Dataset, batch_size: int) -> int:
    """Rounds as given; or as many as make up the epochs; or the case's."""
    if args.rounds is not None:
        return int(args.rounds)
    epochs = args.epochs if args.epochs is not None else case.num_rounds
    if args.steps_per_round is None:
        return int(epochs)
    return int(-(-epochs * _steps_per_epoch(args, dataset, batch_size) // max(1, args.steps_per_round)))


def _steps_per_epoch(args: argparse.Namespace, dataset: data.Dataset, batch_size: int) -> int:
    """Minibatches of one worker's shard."""
    return -(-len(dataset.train) // (max(1, int(args.workers)) * max(1, batch_size)))


def _falling(optimizer: nn.Optimizer, num_steps: int) -> nn.Optimizer:
    """The same with a learning rate that falls to nothing, along half a cosine over a worker's steps."""
    start = optimizer.learning_rate
    if isinstance(start, nn.Schedule):
        raise UsageError("--schedule: the case's optimizer has one of its own; leave it out, or give --learning-rate")
    return optimizer.with_learning_rate(nn.Cosine(start, max(1, num_steps)))
