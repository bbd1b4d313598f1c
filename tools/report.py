"""`python -m tools.report`, in a clone: the command is `nnlite/commands/report.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("report", sys.argv[1:]))
