from math import exp

import numpy as np
import polars as pl
import pytest

from recsys.simulation.items import Items
from recsys.simulation.settings import Settings
from recsys.simulation.truth import Truth
from recsys.simulation.users import Users

ONE_TOPIC, OTHER_TOPIC = [1.0, 0.0], [0.0, 1.0]


def truth(**settings: object) -> Truth:
    """Two items, the second of another topic, dear and good; one user, who goes from the first topic to the second."""
    items = Items(
        pl.DataFrame(), np.array([ONE_TOPIC, OTHER_TOPIC]), np.array([0.0, 1.0]), np.array([0.0, 2.0]), np.zeros(2)
    )
    users = Users(
        pl.DataFrame({"user_id": ["u"]}), np.array([ONE_TOPIC]), np.array([OTHER_TOPIC]), np.array([0.25]), np.ones(1)
    )
    return Truth(Settings(list_length=2, **settings), items, users)


def share(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


def test_attractiveness_follows_taste_quality_and_price():
    # −3 average, + 5 for the whole of a taste, + 1 of quality, − 0.25 · 2 for the price.
    found = truth().attractiveness(at=0.0)
    assert found[0] == pytest.approx([share(-3 + 5), share(-3 + 1 - 0.5)])


def test_a_taste_drifts_from_the_first_day_to_the_last():
    assert truth().attractiveness(at=1.0)[0] == pytest.approx([share(-3), share(-3 + 5 + 1 - 0.5)])
    assert truth().attractiveness(at=0.5)[0, 0] == pytest.approx(share(-3 + 2.5))


def test_the_attractiveness_of_a_shown_list_is_that_of_the_matrix():
    found = truth().attractiveness_of(np.array([0, 0]), np.array([[1, 0], [0, 1]]), np.array([0.0, 1.0]))
    assert found[0] == pytest.approx(truth().attractiveness(at=0.0)[0, ::-1])
    assert found[1] == pytest.approx(truth().attractiveness(at=1.0)[0])


def test_by_position_a_click_takes_a_look_and_an_attractive_item():
    found = truth(position_decay=1.0).click_probabilities(np.array([[0.5, 0.5]]))
    assert found.tolist() == [[0.5, 0.25]]


def test_in_a_cascade_the_second_item_is_clicked_when_the_first_was_not():
    found = truth(click_model="cascade").click_probabilities(np.array([[0.5, 0.5]]))
    assert found.tolist() == [[0.5, 0.25]]
    certain = truth(click_model="cascade").click_probabilities(np.array([[1.0, 0.5]]))
    assert certain.tolist() == [[1.0, 0.0]]
