from serving.trust import TRUSTED_AFTER, Standing, Trust


def test_who_was_late_must_be_in_time_often_before_it_is_trusted_again():
    standing = Standing(Trust())
    assert standing.is_trusted
    standing.judge(0.2, 0.1)
    assert (standing.is_trusted, standing.was_late) == (False, True)
    for _ in range(TRUSTED_AFTER - 1):
        standing.judge(0.1, 0.1)
    assert (standing.is_trusted, standing.was_late) == (False, False)
    standing.judge(0.1, 0.1)
    assert standing.is_trusted


def test_who_is_late_again_begins_anew():
    standing = Standing(Trust())
    for seconds in [0.2, *[0.1] * (TRUSTED_AFTER - 1), 0.2, *[0.1] * (TRUSTED_AFTER - 1)]:
        standing.judge(seconds, 0.1)
    assert not standing.is_trusted
    standing.judge(0.1, 0.1)
    assert standing.is_trusted


def test_one_that_was_late_costs_the_others_their_trust_too_until_each_was_in_time():
    trust = Trust()
    late, other = Standing(trust), Standing(trust)
    late.judge(0.2, 0.1)
    assert not other.is_trusted
    assert not other.was_late
    for _ in range(TRUSTED_AFTER):
        other.judge(0.1, 0.1)
    assert (late.is_trusted, other.is_trusted) == (False, True)


def test_a_stage_that_is_made_later_is_not_blamed():
    trust = Trust()
    Standing(trust).judge(0.2, 0.1)
    assert Standing(trust).is_trusted


def test_without_a_deadline_nobody_is_late():
    standing = Standing(Trust())
    standing.judge(60.0, None)
    assert (standing.is_trusted, standing.was_late) == (True, False)
