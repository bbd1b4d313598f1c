"""`python -m tools.optimize`, in a clone: the command is `nnlite/commands/optimize.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("optimize", sys.argv[1:]))
