"""`python -m tools.stop`, in a clone: the command is `nnlite/commands/stop.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("stop", sys.argv[1:]))
