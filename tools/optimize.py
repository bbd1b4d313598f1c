"""`python -m tools.optimize`, in a clone: the command is `nnlite/commands/optimize.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("optimize", sys.argv[1:]))
