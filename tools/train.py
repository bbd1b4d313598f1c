"""`python -m tools.train`, in a clone: the command is `nnlite/commands/train.py`."""

import sys

from nnlite.commands.door import enter

if __name__ == "__main__":
    sys.exit(enter("train", sys.argv[1:]))
