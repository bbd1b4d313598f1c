"""`python -m tools.simulate`, in a clone: the command is `nnlite/commands/simulate.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("simulate", sys.argv[1:]))
