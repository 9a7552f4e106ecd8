import gc
import threading
import time

from serving.workers import Workers


def test_a_thread_does_one_thing_after_the_other_and_another_begins_only_when_it_is_busy():
    workers = Workers("test", most=2)
    for number in range(5):
        job = workers.start(lambda number=number: (number, threading.current_thread()))
        assert job.done.acquire(timeout=5)
        assert job.result[0] == number
        first = job.result[1]
    go = threading.Event()
    hanging = workers.start(go.wait)
    other = workers.start(threading.current_thread)
    assert other.done.acquire(timeout=5)
    assert other.result is not first
    workers.start(go.wait)
    assert workers.start(lambda: 1) is None
    go.set()
    assert hanging.done.acquire(timeout=5)
    assert workers.start(lambda: 1) is not None


def test_what_fails_is_told_to_who_asked_and_the_thread_goes_on():
    workers = Workers("test", most=1)
    job = workers.start(lambda: 1 / 0)
    assert job.done.acquire(timeout=5)
    assert isinstance(job.error, ZeroDivisionError)
    job = workers.start(lambda: 1)
    assert job.done.acquire(timeout=5)
    assert (job.result, job.error) == (1, None)


def test_the_threads_end_with_their_object():
    workers = Workers("ending", most=1)
    assert workers.start(lambda: 1).done.acquire(timeout=5)
    assert "stage-ending" in [thread.name for thread in threading.enumerate()]
    del workers
    gc.collect()
    until = time.monotonic() + 5
    while "stage-ending" in [thread.name for thread in threading.enumerate()] and time.monotonic() < until:
        time.sleep(0.01)
    assert "stage-ending" not in [thread.name for thread in threading.enumerate()]
