"""How much memory a server keeps for its threads.

The C library of Linux gives threads arenas of their own, up to eight for each core, and each keeps what its threads
held at their busiest moment. Few arenas serve all threads; they seldom wait for each other, for most of what they do
holds the lock of the interpreter. https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes
import os
from typing import Final

ARENAS: Final = 2
_M_ARENA_MAX: Final = -8


def keep_few_arenas() -> bool:
    """Whether there are to be few: not where the environment says how many, nor where another C library allocates.

    Call it before there are threads.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, ARENAS))
