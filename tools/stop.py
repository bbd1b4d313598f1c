"""`python -m tools.stop`, in a clone: the command is `nnlite/commands/stop.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("stop", sys.argv[1:]))
