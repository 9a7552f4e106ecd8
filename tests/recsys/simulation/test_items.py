import numpy as np
import pytest

from recsys.simulation.items import Items, drawn
from recsys.simulation.settings import FIRST_DAY, Settings
from recsys.simulation.words import TOPICS


@pytest.fixture(scope="module")
def items() -> Items:
    return Items.made(Settings(items=240, days=10), np.random.default_rng(0))


def test_the_category_is_the_topic_that_an_item_is_most_about_and_the_noun_of_its_title_is_of_it(items: Items):
    for title, category, topics in zip(items.table["title"], items.table["category"], items.topics, strict=True):
        assert category == list(TOPICS)[topics.argmax()]
        assert any(noun in title for noun in TOPICS[category][1])


def test_every_topic_has_as_many_items(items: Items):
    assert set(items.table["category"].value_counts()["count"]) == {20}


def test_prices_follow_the_topic_and_what_is_dear_for_its_kind(items: Items):
    log_price = np.log(items.table["price"].to_numpy())
    own = items.topics.argmax(axis=1)
    within = log_price - np.array([log_price[own == topic].mean() for topic in range(len(TOPICS))])[own]
    assert np.corrcoef(within, items.price)[0, 1] > 0.9


def test_an_item_is_published_before_the_log_or_at_its_moment_in_it(items: Items):
    days = (items.table["published_at"] - FIRST_DAY).dt.total_seconds().to_numpy() / 86_400
    new = items.published > 0
    assert 0.1 < new.mean() < 0.3
    assert days[new] == pytest.approx(items.published[new] * 10, abs=1e-4)
    assert ((days[~new] < 0) & (days[~new] > -366)).all()


def test_no_word_is_of_two_topics():
    words = [word for adjectives, nouns in TOPICS.values() for word in (*adjectives, *nouns)]
    assert len(set(words)) == len(words)


def test_a_column_is_drawn_as_often_as_its_probability_says():
    found = drawn(np.tile([0.2, 0.0, 0.8], (10_000, 1)), np.random.default_rng(0))
    assert np.bincount(found, minlength=3) / 10_000 == pytest.approx([0.2, 0.0, 0.8], abs=0.02)
