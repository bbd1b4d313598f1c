"""What a person sees of a run: its plan, its result, and how to follow one that goes on alone."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from nnlite import nn
from nnlite.api import Run
from nnlite.api.planned import facts
from nnlite.commands.costs import CommandBooks
from nnlite.commands.follow_up import follow_up
from nnlite.commands.json_lines import say
from nnlite.commands.spelling import command, with_options
from nnlite.commands.terminal import in_line
from nnlite.data import Dataset
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import outcome


def introduce(books: CommandBooks, dataset: Dataset | None, on_stdout: bool = False) -> None:
    """Say what the run will be."""
    for name, value in facts(books.spec, dataset, books.platform, books.args.store).items():
        print(f"{name:<10} {with_options(in_line(value))}", file=sys.stdout if on_stdout else sys.stderr)


def show_plan(books: CommandBooks, dataset: Dataset | None) -> int:
    """--dry-run: what would be done, on stdout."""
    spec = books.spec
    if books.args.json:
        say("plan", **json.loads(spec.to_json()))
        return 0
    books.introduce(dataset, start_nothing=True)
    introduce(books, dataset, on_stdout=True)
    print()
    print(nn.Sequential.from_config(spec.network).summary())
    print("\nnothing was started (--dry-run)")
    return 0


def show_how_to_follow(spec: RunSpec, args: argparse.Namespace) -> int:
    """Say which commands are for a run that goes on alone."""
    lines = {
        "status": follow_up("status", args, spec.run, "--follow"),
        "stop": follow_up("stop", args, spec.run),
        "resume": follow_up("train", args, "--resume", spec.run),
        "report": follow_up("report", args, spec.run),
    }
    if args.json:
        say("detached", run=spec.run, **lines)
        return 0
    print(f"{spec.run} goes on alone. See it: {lines['status']}", file=sys.stderr)
    print(f"stop it: {lines['stop']}", file=sys.stderr)
    print(f"fetch its weights in the end: {lines['resume']}", file=sys.stderr)
    print(f"a page about it: {lines['report']}", file=sys.stderr)
    return 0


def show_result(run: Run, out: Path, books: CommandBooks) -> int:
    """Say what came out of a run, and which file has it."""
    last, account = run.head, books.account(has_just_ended=run.seconds is not None)
    errors = outcome.errors_of(run.store, run.spec, run.model)
    if not books.args.json:
        shown = f"test {errors}" if errors is not None else f"test accuracy {_share(last.accuracy)}"
        _print_result(shown, run.spec, last, out, run.seconds, books.shown(account.cost))
        return 0
    rounds = run.spec.rules.rounds_made(run.spec, last)
    values = {"run": run.name, "test_accuracy": last.accuracy, "rounds": rounds, "weights": str(out)}
    of_amounts = errors.values() if errors is not None else None
    say(
        "result",
        **values,
        test_errors=of_amounts,
        seconds=round(run.seconds or 0.0, 3),
        reason=last.reason,
        cost=account.values(),
    )
    return 0


def _share(accuracy: float | None) -> str:
    return "not measured" if accuracy is None else f"{accuracy:.4f}"


def _print_result(shown: str, spec: RunSpec, last: Head, out: Path, seconds: float | None, cost: str) -> None:
    took = "" if seconds is None else f", {seconds:.1f} s"
    rounds = spec.rules.rounds_made(spec, last)
    print(f"{shown} after {rounds} rounds{took} ({with_options(in_line(last.reason))})")
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
