"""What Lambda's environment says of this function; to be imported before NumPy, whose threads follow from it."""

from __future__ import annotations

import os

MB_PER_CPU = 1769

MEMORY_MB = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MB_PER_CPU))
NUM_THREADS = max(1, MEMORY_MB // MB_PER_CPU)
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, str(NUM_THREADS))
