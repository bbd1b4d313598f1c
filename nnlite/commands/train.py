"""Train a network: `python -m tools.train --case b`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

from nnlite import data, nn
from nnlite.api.planned import facts
from nnlite.commands import _cost, _named, _platform, options
from nnlite.commands._cost import CommandBooks
from nnlite.commands._follow_up import follow_up, to_go_on
from nnlite.commands._json import say
from nnlite.commands._plan import HEADINGS, add_reading, check_data, name_code, plan, run_code
from nnlite.commands._progress import ProgressLines
from nnlite.commands._spelling import command
from nnlite.commands._terminal import in_line
from nnlite.commands.parser import Parser
from nnlite.errors import RunError, StoreError, UsageError
from nnlite.platform import PLATFORMS, find
from nnlite.platform.base import Platform
from nnlite.protocol.records.head import DONE, Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import initial_weights, lifecycle, model_file
from nnlite.runs.job import Job
from nnlite.store import Store, open_store

EXAMPLES = """examples:
  python -m tools.train --case b --dataset fashion-sample --workers 2
  python -m tools.train --case c --data ../shared/data --target-accuracy 0.97
  python -m tools.train --dataset iris.csv --target species
  python -m tools.train --case my_case.py --optimizer adam --learning-rate 0.001
  python -m tools.train --case tuned.json --init tuned.safetensors --rounds 5
  python -m tools.train --case b --platform lambda --workers 20 --budget-usd 1
  python -m tools.train --case emnist --platform openfaas --store memcached://127.0.0.1:11211/nnlite --workers 3
  python -m tools.train --resume b-20260101-120000-3f2a
"""


def main(args: argparse.Namespace) -> int:
    """Begin or resume a run, drive it to its end, and write its weights."""
    _check(args)
    platform = _platform.of(args)
    _platform.check(args, platform)
    _platform.settle_store(args, platform)
    store = _named.store(args.store)
    return _resume(args, platform, store) if args.resume else _begin(args, platform, store)


def _begin(args: argparse.Namespace, platform: Platform, store: Store) -> int:
    dataset, planned = plan(args)
    check_data(args, dataset)
    with _named.wrong_if_named(args.init):
        first = initial_weights.read(args.init, planned) if args.init else None
    spec = replace(planned, init=first.digest if first else None)
    spec = platform.adapt(spec, args.store, _platform.pricing(args))
    name_code(args, spec.case_file, spec.run)
    books = CommandBooks(args, spec, store, platform)
    if args.dry_run:
        return _show_plan(books, dataset)
    out = _out(spec, args)
    _introduce(books, dataset)
    platform.prepare(spec, args.store)
    books.ask(f"{spec.num_workers} workers", books.introduce(dataset))
    lifecycle.begin(store, open_store(spec.data.store) if spec.data.store else store, spec, dataset, first)
    attempts = dict.fromkeys(range(spec.num_workers), 1)
    return _drive(args, platform, books, attempts, ProgressLines(spec, 0, args.json), out)


def _resume(args: argparse.Namespace, platform: Platform, store: Store) -> int:
    spec = lifecycle.find(store, args.resume, args.checkpoint_store, args.data_store)
    args.checkpoint_store, args.data_store = spec.checkpoint_store, spec.data.store  # of follow-ups
    run_code(args, spec.case_file, spec.run)
    books = CommandBooks(args, spec, store, platform)
    if args.dry_run:
        return _show_plan(books, None)
    out, standing = _out(spec, args), lifecycle.last_known(store, spec)
    if standing is not None and standing.status == DONE and (args.out or not out.exists()):
        return _finish(standing, out, None, books)  # its command did not come to write them
    platform.prepare(spec, args.store)
    if platform.probes_cost:
        books.ask(f"{spec.num_workers} workers", books.introduce(None))
    attempts, first_round = lifecycle.reopen(store, spec)
    first_line = spec.rules.rounds_made(spec, standing) if standing is not None else 0
    return _drive(args, platform, books, attempts, ProgressLines(spec, first_line, args.json), out, first_round)


def _drive(
    args: argparse.Namespace, platform: Platform, books: CommandBooks, attempts: dict[int, int],
    progress: ProgressLines, out: Path, first_round: int = 0,
) -> int:  # fmt: skip
    store, spec = books.store, books.spec
    driver = lifecycle.Driver(store, spec, platform.open(spec, store), first_round)
    if args.detach:
        return _leave_alone(driver, platform, attempts, args)
    driver.goes_on_alone = lambda: _platform.goes_on_alone(platform, spec, store)
    driver.tell, began_s = progress.tell, time.monotonic()
    try:
        last = driver.drive(attempts)
    except KeyboardInterrupt as error:
        progress.close()
        if driver.left_alone:
            _tell_how_to_follow(spec, args)
            return 0
        error.args = (to_go_on("train", args, spec.run),)
        raise
    finally:
        progress.close()
    if last.status != DONE and last.result is None:
        stays = f"; its checkpoints stay in {store.url}" if lifecycle.standing(store, spec) else ""
        raise RunError(f"run {spec.run} {last.status}: {last.reason}{stays}")
    return _finish(last, out, time.monotonic() - began_s, books)


def _finish(last: Head, out: Path, seconds: float | None, books: CommandBooks) -> int:
    """Write the weights of a run that is done, and say so. seconds: that it took; None: it was done before."""
    spec, args = books.spec, books.args
    model = lifecycle.result(books.store, spec, last)
    try:
        model_file.save(out, model)
    except StoreError as error:
        args.out = str(out)  # in the command: it fetches them also if an older file stands there
        raise StoreError(f"{error}; the weights stay in the store: python -m tools.train --resume {spec.run}") from None
    account = books.account(has_just_ended=seconds is not None)
    if args.json:
        rounds = spec.rules.rounds_made(spec, last)
        values = {"run": spec.run, "test_accuracy": last.accuracy, "rounds": rounds, "weights": str(out)}
        say("result", **values, seconds=round(seconds or 0.0, 3), reason=last.reason, cost=account.values())
    else:
        _show_result(spec, last, out, seconds, books.shown(account.cost))
    return 0


def _leave_alone(
    driver: lifecycle.Driver, platform: Platform, attempts: dict[int, int], args: argparse.Namespace
) -> int:
    """--detach: start the workers, and let their platform look after them."""
    assert driver.platform is not None
    platform.detach(driver.spec, driver.store)
    driver.platform.start(attempts.items())
    _tell_how_to_follow(driver.spec, args)
    return 0


def _tell_how_to_follow(spec: RunSpec, args: argparse.Namespace) -> None:
    lines = {
        "status": follow_up("status", args, spec.run, "--follow"),
        "stop": follow_up("stop", args, spec.run),
        "resume": follow_up("train", args, "--resume", spec.run),
        "report": follow_up("report", args, spec.run),
    }
    if args.json:
        say("detached", run=spec.run, **lines)
        return
    print(f"{spec.run} goes on alone. See it: {lines['status']}", file=sys.stderr)
    print(f"stop it: {lines['stop']}", file=sys.stderr)
    print(f"fetch its weights in the end: {lines['resume']}", file=sys.stderr)
    print(f"a page about it: {lines['report']}", file=sys.stderr)


def _check(args: argparse.Namespace) -> None:
    """Refuse what could only be ignored, or go wrong later."""
    defaults = vars(_parser().parse_args([]))
    _platform.refuse_foreign(args, defaults)
    allowed = NOT_OF_THE_RUN | _platform.resumable(find(args.platform))
    for name in sorted(defaults.keys() - allowed):
        if args.resume and getattr(args, name) != defaults[name]:
            raise UsageError(f"--resume goes on with the run as it began: leave --{name.replace('_', '-')} out")
    if args.calibrate and (args.dry_run or args.resume):
        other = "--dry-run" if args.dry_run else "--resume"
        raise UsageError(f"--calibrate measures by a short run, which {other} does not make: leave it out")


def _out(spec: RunSpec, args: argparse.Namespace) -> Path:
    """The file for the weights; now, not after an hour of training, is the time to find it unwritable."""
    out = Path(args.out or f"{spec.run}.safetensors")
    model_file.check(out, f"--out {out}")
    return out


# ---- what people see


def _facts(books: CommandBooks, dataset: data.Dataset | None) -> dict[str, str]:
    return facts(books.spec, dataset, books.platform, books.args.store)


def _introduce(books: CommandBooks, dataset: data.Dataset) -> None:
    for name, value in _facts(books, dataset).items():
        print(f"{name:<10} {in_line(value)}", file=sys.stderr)


def _show_plan(books: CommandBooks, dataset: data.Dataset | None) -> int:
    """--dry-run: what would be done, on stdout."""
    spec = books.spec
    if books.args.json:
        say("plan", **json.loads(spec.to_json()))
        return 0
    books.introduce(dataset, start_nothing=True)
    for name, value in _facts(books, dataset).items():
        print(f"{name:<10} {in_line(value)}")
    print()
    print(nn.Sequential.from_config(spec.network).summary())
    print("\nnothing was started (--dry-run)")
    return 0


def _show_result(spec: RunSpec, last: Head, out: Path, seconds: float | None, cost: str) -> None:
    accuracy = "not measured" if last.accuracy is None else f"{last.accuracy:.4f}"
    took = "" if seconds is None else f", {seconds:.1f} s"
    rounds = spec.rules.rounds_made(spec, last)
    print(f"test accuracy {accuracy} after {rounds} rounds{took} ({in_line(last.reason)})")
    print(f"cost      {cost}")
    print(f"weights   {out}")
    if out.suffix.lower() == ".onnx":
        print(f'ONNX      import onnxruntime; session = onnxruntime.InferenceSession("{out}")')
        print('          outputs, = session.run(None, {"x": images.astype("float32")})')
        return
    print(f"predict   {command('predict')} {shlex.quote(str(out))} FILE ...")
    print(f'nnlite    import nnlite; model = nnlite.load("{out}"); labels = model.predict_labels(rows)')
    print(f'PyTorch   from safetensors.torch import load_file; tensors = load_file("{out}")')
    print("          a dense weight is (in, out): .T for torch; a conv weight (h, w, in, out): .permute(3, 2, 0, 1)")


# ---- the command line

COMMON = (  #: what --help shows; --help-all shows the others
    "case", "dataset", "data", "target", "epochs", "batch_size", "optimizer", "learning_rate", "workers", "protocol",
    "platform", "budget_usd", "target_accuracy", "resume", "out", "dry_run", "json",
)  # fmt: skip
NOT_OF_THE_RUN = {
    "resume",
    "case",
    "platform",
    "store",
    "checkpoint_store",
    "data_store",
    "out",
    "json",
    "dry_run",
    "debug",
}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.train",
        description="Train a network on workers that average their weights after every round.",
        epilog=EXAMPLES,
        common=COMMON,
    )
    groups = options.add_groups(parser, Job, HEADINGS)
    add_reading(parser)
    _cost.add_options(parser)
    where = groups["where"]
    where.add_argument("--platform", choices=list(PLATFORMS), default="local", help="where workers run (default local)")
    where.add_argument(
        "--init",
        type=_named.path,
        metavar="FILE",
        help="begin with the weights of a safetensors file, like tune's best",
    )
    where.add_argument("--resume", metavar="RUN", help="go on with a run that was interrupted")
    where.add_argument(
        "--out",
        type=_named.path,
        metavar="FILE",
        help="where the weights go (default RUN.safetensors); .onnx: an ONNX file",
    )
    where.add_argument("--detach", action="store_true", help="on Lambda: start the workers and leave them alone")
    _platform.add_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and the network, start nothing")
    return parser
