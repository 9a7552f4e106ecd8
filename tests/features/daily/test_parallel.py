import pytest

from features.daily.parallel import side_by_side


def test_all_pieces_are_done():
    done = []
    side_by_side(done.append, range(5))
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_piece_that_fails_stops_those_that_have_not_begun():
    done = []

    def work(piece: int) -> None:
        if piece == 0:
            raise KeyboardInterrupt
        done.append(piece)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(10_000))
    assert len(done) < 10_000
