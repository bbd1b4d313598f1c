"""`python -m tools.deploy`, in a clone: the command is `nnlite/commands/deploy.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("deploy", sys.argv[1:]))
