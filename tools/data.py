"""`python -m tools.data`, in a clone: the command is `nnlite/commands/data.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("data", sys.argv[1:]))
