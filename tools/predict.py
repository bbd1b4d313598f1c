"""`python -m tools.predict`, in a clone: the command is `nnlite/commands/predict.py`."""

import sys

from nnlite.commands.door import program

if __name__ == "__main__":
    sys.exit(program("predict", sys.argv[1:]))
