"""`python -m nnlite NAME`, and the console command `nnlite NAME`."""

import sys

from nnlite.commands.door import main

if __name__ == "__main__":
    sys.exit(main())
