import os
import platform
import subprocess
import sys

import pytest

from serving.allocator import ARENAS, keep_few_arenas

# Threads that all allocate at once, and how many arenas the C library has afterwards.
COUNTED = """
import ctypes, sys, threading
from serving.allocator import keep_few_arenas
print(keep_few_arenas())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
together = threading.Barrier(12)
def work():
    together.wait()
    for _ in range(200):
        libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[1]).read().count("<heap nr="))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library allocates in another way")
@pytest.mark.parametrize("environment", [{}, {"MALLOC_ARENA_MAX": "5"}])
def test_threads_share_few_arenas_or_as_many_as_the_environment_says(tmp_path, environment):
    command = [sys.executable, "-c", COUNTED, str(tmp_path / "arenas.xml")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=True)
    few, arenas = done.stdout.split()
    assert (few, int(arenas)) == (str(not environment), 5 if environment else ARENAS)


def test_a_c_library_without_the_setting_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)

    assert keep_few_arenas() is False
