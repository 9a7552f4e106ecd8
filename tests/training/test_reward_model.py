import polars as pl
import pytest

from training.reward_model import PRIOR, with_model


def test_an_item_is_held_against_what_its_positions_earn_in_the_other_fold_alone():
    # User u is one fold and v the other. In v's rows position 1 earns 1 / 2 and position 2 nothing.
    rows = pl.DataFrame(
        {
            "user_id": ["u", "u", "v", "v", "v", "v"],
            "item_id": ["a", "b", "a", "b", "b", "c"],
            "position": [1, 2, 1, 2, 1, 2],
            "reward": [0.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        }
    )
    found = with_model(rows, by="user_id")
    assert found.select(rows.columns).equals(rows)
    of_u = found.filter(pl.col("user_id") == "u")
    assert of_u["base"].to_list() == [0.5, 0.0]
    # a earned 1 where its position earns .5; b earned 0 in position 2, which earns 0, and in 1, which earns .5.
    assert of_u["lift"].to_list() == pytest.approx([(1 + PRIOR) / (0.5 + PRIOR), (0 + PRIOR) / (0.5 + PRIOR)])
    of_v = found.filter(pl.col("user_id") == "v")
    assert of_v["base"].to_list() == [0.0, 1.0, 0.0, 1.0]
    # a earned 0 where its position earns 0, and b earned 1 where its position earns 1; u saw nothing of c.
    assert of_v["lift"].to_list() == pytest.approx([1, 1, 1, 1])


def test_a_position_that_the_other_fold_lacks_is_taken_to_earn_nothing():
    rows = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "a"], "position": [1, 2], "reward": [1.0, 1.0]})
    assert with_model(rows, by="user_id")["base"].to_list() == [0.0, 0.0]
