"""When a call is tried again."""

import pytest

from recsys.client.errors import ClientError, Problem, ProblemError, UnreachableError
from recsys.client.retries import Retries, may_try_again


def answered(status: int) -> ProblemError:
    return ProblemError("POST /v1/rank", Problem("", status, ""))


@pytest.mark.parametrize(
    ("error", "twice_is_once", "repeatable"),
    [
        (answered(429), True, False),
        (answered(503), True, False),
        (answered(502), True, True),
        (answered(502), False, False),
        (answered(504), False, False),
        (answered(400), False, True),
        (answered(422), False, True),
        (answered(500), False, True),
        (UnreachableError("", sent=False), True, False),
        (UnreachableError("", sent=True), True, True),
        (UnreachableError("", sent=True), False, False),
    ],
)
def test_it_is_tried_again_only_where_that_can_do_no_harm(error: ClientError, twice_is_once: bool, repeatable: bool):
    assert may_try_again(error, repeatable=repeatable) == twice_is_once


def test_pauses_grow_up_to_the_longest_and_are_drawn_so_that_clients_do_not_come_back_at_once():
    retries = Retries(first_pause_s=0.1, longest_pause_s=0.3)
    drawn = [[retries.pause(retry) for _ in range(300)] for retry in (1, 2, 3, 9)]
    for pauses, most in zip(drawn, (0.1, 0.2, 0.3, 0.3), strict=True):
        assert 0 <= min(pauses) < 0.1 * most
        assert 0.9 * most < max(pauses) <= most
