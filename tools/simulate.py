"""`python -m tools.simulate`, in a clone: the command is `nnlite/commands/simulate.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("simulate", sys.argv[1:]))
