from datetime import date

import numpy as np
import pytest

from tests.training.drift.tables import SETTINGS, interactions, periods
from tests.training.project import catalogue_of
from training.drift.topics import Topics, centres, nearest, telling_words, topic_figures, topics_by_week

NAMES = ["lamp", "oak lamp", "desk lamp", "mug", "tea mug", "blue mug"]
VECTORS = np.array([[1, 0], [0.99, 0.14], [0.98, -0.2], [0, 1], [0.1, 0.99], [-0.1, 0.99]], dtype=np.float32)
CATALOGUE = catalogue_of(*"abcdef", titles=NAMES)
TOPICS = Topics(["lamp", "mug"], np.array([0, 0, 0, 1, 1, 1]))


def test_items_that_lie_together_are_a_cluster_and_the_same_vectors_give_the_same():
    found = nearest(centres(VECTORS, 2), VECTORS)
    assert len(set(found[:3])) == len(set(found[3:])) == 1
    assert found[0] != found[3]
    assert (centres(VECTORS, 2) == centres(VECTORS, 2)).all()
    assert len(centres(VECTORS[:1], 2)) == 1
    assert len(centres(VECTORS[[0, 0, 0]], 3)) == 1


def test_a_topic_is_named_by_the_words_that_are_in_its_texts_and_seldom_elsewhere():
    texts = ["red lamp of oak", "red lamp", "red mug for tea", "red mug 500"]
    assert telling_words(texts, np.array([0, 0, 1, 1]), 2) == ["lamp oak red", "mug for tea"]


def test_topics_of_the_same_words_are_numbered_and_one_without_words_says_so():
    names = telling_words(["lamp", "lamp", "12"], np.array([0, 1, 2]), 3)
    assert names == ["lamp", "lamp #2", "without words"]


def test_as_many_topics_as_half_the_items_have_a_root():
    eight = np.eye(8, dtype=np.float32)
    assert len(Topics.of(eight, NAMES[:1] * 8, eight).names) == 2


def test_new_items_join_the_topics_that_the_champion_has():
    topics = Topics.of(VECTORS, NAMES, np.concatenate([VECTORS, VECTORS[:1]]))
    assert topics.names == Topics.of(VECTORS, NAMES, VECTORS[:0]).names
    assert topics.of_items[6] == topics.of_items[0] != topics.of_items[3]


def log(lamps_now: int) -> list[tuple[str, str, str, float, float | None]]:
    """A hundred users of each week: half look at a lamp, in the last week so many."""
    rows = []
    for week in range(5):
        lamps = lamps_now if week == 4 else 50
        rows += [(f"u{user}", "a" if user < lamps else "f", "view", 7 * week + 3, None) for user in range(100)]
    return rows


def test_a_topic_that_surges_is_an_alert_of_its_name_and_so_is_one_that_vanishes():
    lamp, mug = topic_figures(SETTINGS, TOPICS, interactions(log(90)), CATALOGUE, periods(0, 0, 28, 28, 35))
    assert (lamp.name, lamp.before, lamp.now, lamp.level) == ("lamp", 0.5, 0.9, "alert")
    assert (mug.name, mug.before, mug.now, mug.level) == ("mug", 0.5, pytest.approx(0.1), "alert")
    assert lamp.value == pytest.approx(0.4 * np.log(1.8) - 0.4 * np.log(0.2))


def test_topics_are_found_in_the_vectors_and_what_surges_is_told_by_its_words():
    topics = Topics.of(VECTORS, NAMES, VECTORS)
    figures = topic_figures(SETTINGS, topics, interactions(log(90)), CATALOGUE, periods(0, 0, 28, 28, 35))
    (surged,) = [figure for figure in figures if figure.now > figure.before]
    assert surged.level == "alert"
    assert set(surged.name.split()) == {"lamp", "oak", "desk"}


def test_one_user_alone_makes_no_topic_surge():
    storm = [("u0", "a", "view", 31 + second / 86400, None) for second in range(10_000)]
    figures = topic_figures(SETTINGS, TOPICS, interactions([*log(50), *storm]), CATALOGUE, periods(0, 0, 28, 28, 35))
    assert [figure.level for figure in figures] == ["ok", "ok"]


def test_shares_are_told_week_by_week_and_items_outside_of_the_catalogue_left_out():
    rows = interactions([*log(90), ("u", "elsewhere", "view", 30, None)])
    weeks, (lamp, mug) = topics_by_week(TOPICS, rows, CATALOGUE, periods(0, 0, 28, 28, 35))
    assert [week.toordinal() - date(2024, 1, 1).toordinal() for week in weeks] == [0, 7, 14, 21, 28]
    assert (lamp.shares, lamp.items) == ([0.5, 0.5, 0.5, 0.5, 0.9], 3)
    assert mug.shares == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.1])
