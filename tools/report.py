"""`python -m tools.report`, in a clone: the command is `nnlite/commands/report.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("report", sys.argv[1:]))
