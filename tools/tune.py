"""`python -m tools.tune`, in a clone: the command is `nnlite/commands/tune.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("tune", sys.argv[1:]))
