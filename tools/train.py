"""`python -m tools.train`, in a clone: the command is `nnlite/commands/train.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("train", sys.argv[1:]))
