"""Deploy what a platform needs: `python -m tools.deploy --platform openfaas`."""

from __future__ import annotations

import argparse
import sys

from tools import _deploy_openfaas
from tools._command import run

EXAMPLES = """examples:
  python -m tools.deploy --platform openfaas --workers 3 --image-prefix ghcr.io/you --secret-file hmac.secret
  python -m tools.deploy --platform openfaas --faasd --workers 2 --dry-run
"""


def main(args: argparse.Namespace) -> int:
    """Deploy to the platform that was chosen."""
    return _deploy_openfaas.main(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.deploy",
        description="Check what is deployed, fill in what you choose, and deploy it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--platform", choices=["openfaas"], default="openfaas", help="where (default %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="check, and print the commands; change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _deploy_openfaas.add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run(main, _parser()))
