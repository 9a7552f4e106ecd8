from serving.timings import KEPT, Timings


def test_nothing_is_known_of_what_was_done_once():
    timings = Timings()
    assert timings.estimate(100) == 0.0
    timings.add(100, 0.5)
    assert timings.estimate(100) == 0.0


def test_the_estimate_is_the_second_longest_so_that_one_slow_time_means_nothing():
    timings = Timings()
    for seconds in (0.002, 0.001, 0.003, 9.0):
        timings.add(100, seconds)
    assert timings.estimate(100) == 0.003
    timings.add(100, 8.0)
    assert timings.estimate(100) == 8.0


def test_what_was_long_ago_does_not_count():
    timings = Timings()
    for _ in range(2):
        timings.add(100, 9.0)
    for _ in range(KEPT):
        timings.add(100, 0.001)
    assert timings.estimate(100) == 0.001


def test_a_size_that_was_not_seen_takes_what_a_smaller_one_took_in_proportion_and_at_most_what_a_larger_one_took():
    timings = Timings()
    for _ in range(2):
        timings.add(100, 0.001)
    # 100 is between 64 and 128, 400 between 256 and 512: four times as many.
    assert timings.estimate(400) == 0.004
    assert timings.estimate(3) == 0.001
    for _ in range(2):
        timings.add(3, 0.0005)
    assert timings.estimate(3) == 0.0005


def test_what_is_forgotten_is_not_known():
    timings = Timings()
    for _ in range(2):
        timings.add(100, 0.001)
    timings.forget()
    assert timings.estimate(100) == 0.0
