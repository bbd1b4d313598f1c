"""`python -m tools.deploy`, in a clone: the command is `nnlite/commands/deploy.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("deploy", sys.argv[1:]))
