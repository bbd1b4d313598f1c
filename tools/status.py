"""`python -m tools.status`, in a clone: the command is `nnlite/commands/status.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("status", sys.argv[1:]))
