"""`python -m tools.tune`, in a clone: the command is `nnlite/commands/tune.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("tune", sys.argv[1:]))
