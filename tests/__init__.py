"""The tests mirror the tree."""

import os

# Before any library starts threads: on a busy machine they wait for one another far longer than these jobs take.
os.environ.setdefault("OMP_NUM_THREADS", "1")
