"""Answer new rows with a trained model: `python -m tools.predict iris.safetensors new.csv`."""

from __future__ import annotations

import argparse

import numpy as np

from nnlite.commands import named
from nnlite.commands.json_lines import say
from nnlite.commands.parser import Parser
from nnlite.commands.terminal import in_line
from nnlite.errors import UsageError
from nnlite.nn import BinaryCrossEntropy, SoftmaxCrossEntropy
from nnlite.runs import model_file
from nnlite.runs.answers import Answers, answers, score
from nnlite.runs.model_file import TrainedModel
from nnlite.runs.scores import Errors

EXAMPLES = """examples:
  python -m tools.predict iris.safetensors new.csv
  python -m tools.predict flowers.safetensors one.jpg two.png --top 3
  python -m tools.predict digits.safetensors digits.npz --evaluate
"""


def main(args: argparse.Namespace) -> int:
    """Print a line for each row; or, with --evaluate, how many answers are right."""
    if args.top < 1:
        raise UsageError(f"--top {args.top}: wanted at least 1")
    if args.evaluate and args.top != 1:
        raise UsageError("--top is for answers, and --evaluate shows none: leave it out")
    with named.wrong_if_named(args.model):
        model = model_file.load(args.model, args.case)
        if args.evaluate:
            return _evaluate(model, args)
        for some in answers(model, args.files, args.scale):
            _tell(model, some, args)
    return 0


def _evaluate(model: TrainedModel, args: argparse.Namespace) -> int:
    found = score(model, args.files, args.scale)
    if args.json:
        say("errors" if isinstance(found, Errors) else "scores", **found.values())
    else:
        print(found)
    return 0


def _tell(model: TrainedModel, some: Answers, args: argparse.Namespace) -> None:
    """A line for each row: its name, and the likeliest labels with what speaks for them."""
    outputs = some.outputs
    is_probability = isinstance(model.network.loss, (SoftmaxCrossEntropy, BinaryCrossEntropy))
    shares = model.probabilities(outputs) if is_probability else outputs
    order = np.argsort(-outputs, axis=1, kind="stable")[:, : args.top]
    names = model.classes or tuple(map(str, range(outputs.shape[1])))
    for row, label in enumerate(model.labels(outputs).tolist()):
        best = [(names[place], float(shares[row, place])) for place in order[row].tolist()]
        if outputs.shape[1] == 1:
            best = [(f"{label:.6g}", float(shares[row, 0]))]
        if args.json:
            kind = "probability" if is_probability else "output"
            top = [{"label": name, kind: share} for name, share in best]
            say("answer", name=some.names[row], label=best[0][0], top=top)
        elif model.amounts is not None:
            print(in_line(some.names[row]), best[0][0], sep="  ")
        else:
            print(in_line(some.names[row]), *(f"{in_line(name)} {share:.4f}" for name, share in best), sep="  ")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.predict",
        description="Answer the rows of a table, of arrays, or pictures with a trained model: labels and how probable "
        "they are.",
        epilog=EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", type=named.path, help="what train wrote, a safetensors file")
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=named.path,
        help="a table (.csv), arrays (.npz with x, .npy), pictures, or a folder of them",
    )  # fmt: skip
    parser.add_argument("--top", type=int, default=1, metavar="N", help="the N likeliest labels (1)")
    parser.add_argument(
        "--evaluate", action="store_true", help="how many answers are right, by class, and what is taken for what"
    )
    parser.add_argument("--scale", metavar="RANGE", help="of arrays of pixels that are not 0 to 255: 0..1 or -1..1")
    parser.add_argument(
        "--case", type=named.path, metavar="FILE", help="the case file with layers of your own that the model has"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    return parser
