from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serving.token_bucket import TokenBucket


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_has_the_burst_and_then_one_token_at_a_time():
    clock = Clock()
    bucket = TokenBucket(4.0, 2, clock=clock)
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.25]
    clock.now = 0.125
    assert bucket.take() == 0.125
    clock.now = 0.25
    assert [bucket.take() for _ in range(2)] == [0.0, 0.25]
    clock.now = 100.0
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.25]


def test_threads_that_take_at_once_get_the_burst_and_no_more():
    bucket = TokenBucket(1.0, 500, clock=Clock())
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: bucket.take(), range(4000)))
    assert waits.count(0.0) == 500


@given(
    per_second=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_no_span_of_time_gives_more_than_the_burst_and_the_rate(per_second, burst, pauses):
    clock, taken = Clock(), []
    bucket = TokenBucket(per_second, burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        if bucket.take() == 0.0:
            taken.append(clock.now)
    for at, (start, _) in enumerate(pairwise(taken)):
        for count, end in enumerate(taken[at:], start=1):
            assert count <= burst + per_second * (end - start) + 1e-6


@given(per_second=st.floats(0.1, 1000), burst=st.integers(1, 20))
def test_who_waits_as_long_as_told_gets_a_token(per_second, burst):
    clock = Clock()
    bucket = TokenBucket(per_second, burst, clock=clock)
    for _ in range(burst):
        assert bucket.take() == 0.0
    clock.now += bucket.take() + 1e-6
    assert bucket.take() == 0.0
