import os
import subprocess
import sys
from threading import Event

import pytest

from benchmarks.resident import anonymous_bytes, flatness, resident_bytes, sampled

HOLDS = "import sys; held = b'x' * int(sys.argv[1]); print(flush=True); sys.stdin.readline()"
STARTS_ANOTHER = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1], '100000000'], "
    "stdin=subprocess.PIPE); sys.stdin.readline(); child.communicate(b'\\n')"
)


@pytest.mark.parametrize("arguments", [(HOLDS, "100000000"), (STARTS_ANOTHER, HOLDS)])
def test_what_a_process_and_its_children_hold_is_counted(arguments):
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 100e6 < anonymous_bytes(process.pid) < resident_bytes(process.pid) < 200e6
        process.communicate(b"\n")


def test_memory_is_read_until_something_has_ended():
    ended, held = Event(), iter(range(10))

    def read(pid: int) -> tuple[int, int]:
        assert pid == os.getpid()
        if (found := next(held)) == 2:
            ended.set()
        return found, -found

    samples = sampled(os.getpid(), ended, every_s=0.01, read=read)
    assert [sample[1:] for sample in samples] == [(0, 0), (1, -1), (2, -2)]
    assert 0 <= samples[0].at < samples[1].at < samples[2].at


def test_memory_that_grows_by_one_megabyte_a_minute_grows_by_sixty_an_hour():
    # 100 MB to 119 MB; the first tenth are two samples, and so is the last.
    found = flatness([60.0 * minute for minute in range(20)], [(100 + minute) * 1_000_000 for minute in range(20)])
    assert found.start_mb == 100.5
    assert found.end_mb == 118.5
    assert found.slope_mb_an_hour == pytest.approx(60)
    assert found.deviation_percent == pytest.approx(100 * 18.5 / 100.5)


def test_memory_that_falls_deviates_as_well():
    found = flatness([0, 10], [100_000_000, 90_000_000])
    assert (found.deviation_percent, found.slope_mb_an_hour) == (10, -3600)


def test_of_one_sample_nothing_can_be_said():
    with pytest.raises(ValueError, match="1 samples of memory; expected 2 or more"):
        flatness([0], [1])
