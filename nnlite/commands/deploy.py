"""Put nnlite on AWS Lambda or OpenFaaS, or remove it: `python -m tools.deploy`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from nnlite.commands.parser import Parser
from nnlite.commands.spelling import command

PLATFORMS = {
    "lambda": "nnlite.commands.deploy_lambda",
    "openfaas": "nnlite.commands.deploy_openfaas",
}  # name -> module
EXAMPLES = """examples:
  python -m tools.deploy --dry-run
  python -m tools.deploy --memory-mb 1769 --region eu-west-1
  python -m tools.deploy --bundle-only --python 3.13 --arch arm64
  python -m tools.deploy --delete
  python -m tools.deploy --platform openfaas --workers 3 --image-prefix ghcr.io/you --secret-file hmac.secret
  python -m tools.deploy --platform openfaas --help
"""


def main(args: argparse.Namespace) -> int:
    """Deploy to the platform that was chosen."""
    code: int = importlib.import_module(PLATFORMS[args.platform]).main(args)
    return code


def _parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The options of the platform that the command line names: each has its own."""
    first = Parser(prog=command("deploy"), add_help=False)
    first.add_argument("--platform", choices=list(PLATFORMS), default="lambda")
    platform = first.parse_known_args(argv)[0].platform
    parser = Parser(
        prog="python -m tools.deploy",
        description=f"Make, change or remove what runs on a platform need. These are the options for {platform}.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--platform", choices=list(PLATFORMS), default="lambda", help="where (default %(default)s)")
    importlib.import_module(PLATFORMS[platform]).add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="what was made, as one JSON object on stdout")
    return parser
