from dataclasses import replace

import numpy as np
import pytest

from features.recommender import Recommender, TextSide, UntrainedRanker, by_score
from features.standing import STANDING_FEATURES, standing
from features.topics import Topics
from recsys.interest import SIGNALS, signal_names
from recsys.retrieval import Channels
from recsys.retrieval.from_history import FromHistory
from recsys.retrieval.interest import INTEREST_WEIGHT
from recsys.retrieval.popular import popular
from recsys.soft_maximum import SoftMaximum
from recsys.state import ItemState, UserState
from recsys.text_neighbours import TextNeighbours
from tests.features.assembled import OfText, assemble
from tests.features.log import FEATURES
from tests.neighbours import no_neighbours

NOW = 1e9
USERS = {"users_28d": [8.0, 4.0, 2.0, 1.0]}  # item 0 is the most popular
ITEMS = ItemState(
    NOW,
    FEATURES.item_columns,
    np.column_stack([USERS.get(name, [np.nan] * 4) for name in FEATURES.item_columns]),
    no_neighbours(4),
)
USER = UserState(
    np.full(len(FEATURES.user_columns), np.nan),
    history=np.array([3, 1]),
    occasions=np.array([2.0, 1.0]),
    first_at=np.array([NOW - 90, NOW - 80]),
    last_at=np.array([NOW - 10, NOW - 20]),
    types=np.array(["purchase", "view"]),
    spent=np.array([5.0, 0.0]),
)
INTEREST = np.array(
    [[0.1, 0.2, 0.3, 0, 1], [0.4, 0.5, 0.6, 0, 2], [0.9, 0.8, 0.7, 0, 3], [0.2, 0.1, 0.0, 0, 4]], dtype=np.float32
)


class FixedInterest:
    """A scorer with the same interests for everybody; keeps what it was asked."""

    interest = INTEREST
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], dtype=np.float32)

    def score(self, user, now, candidates=None, query=None):
        self.asked = (user, now, query)
        return self.interest if candidates is None else self.interest[candidates]


def recommender(*, with_text: bool = True, limit: int = 10) -> Recommender:
    return Recommender(FEATURES, ITEMS, TextSide.of(FixedInterest(), ITEMS) if with_text else None, limit)


def test_candidates_come_with_the_features_that_the_ranker_learned_from():
    engine = recommender()
    prepared = engine.prepare(USER, engine.nothing(), engine.signals(USER))
    positions = prepared.candidates.positions
    assert sorted(positions.tolist()) == [0, 1, 2, 3]
    # Best by text, and never chosen.
    assert prepared.candidates.provenance(positions.tolist().index(2)) == ("interest_popular", "interest", "popular")
    assert prepared.matrix.shape == (4, len(FEATURES.names(SIGNALS)))
    # The interest in each candidate stands in its own row.
    text = OfText(engine.signals(USER)[positions], engine.text.topics)
    np.testing.assert_array_equal(prepared.matrix, assemble(FEATURES, USER, ITEMS, positions, text))


def test_what_the_history_says_is_computed_once_for_the_channels_and_the_features(monkeypatch):
    class NoMore(FromHistory):
        def __post_init__(self):
            raise AssertionError("computed again")

    monkeypatch.setattr("features.assembler.FromHistory", NoMore)
    engine = recommender()
    assert len(engine.prepare(USER, engine.nothing(), engine.signals(USER)).matrix) == 4


def test_candidates_come_from_the_channels_of_the_recommender():
    engine = replace(recommender(), channels=Channels({"popular": popular}, budgets={"popular": 3}))
    candidates = engine.prepare(USER, engine.nothing(), engine.signals(USER)).candidates
    assert (candidates.positions.tolist(), candidates.channels) == ([0, 1, 2], ("popular",))


def test_the_scorer_gets_the_user_the_moment_of_the_items_and_the_query():
    engine = recommender()
    query = np.ones(2, dtype=np.float32)
    signals = engine.signals(USER, np.array([2, 0]), query)
    assert engine.text.scorer.asked == (USER, NOW, query)
    assert signals[:, : len(SIGNALS)].tolist() == INTEREST[[2, 0]].tolist()


def test_the_standing_of_candidates_is_that_which_they_have_among_all():
    engine = recommender()
    candidates = np.array([2, 0])
    signals = engine.signals(USER, candidates)
    popularity = np.array(USERS["users_28d"])
    everything = standing(INTEREST[:, 0], popularity, INTEREST[:, 0], popularity)
    assert signals[:, len(SIGNALS) :].tolist() == everything[candidates].tolist()
    assert engine.signals(USER)[:, len(SIGNALS) :].tolist() == everything.tolist()


def test_of_a_user_without_a_history_nothing_is_said_by_text():
    engine = recommender()
    engine.text.scorer.interest = np.zeros_like(INTEREST)
    for candidates, rows in ((None, 4), (np.array([1, 3]), 2)):
        signals = engine.signals(USER, candidates)
        assert (signals.shape, signals.dtype) == ((rows, len(SIGNALS) + len(STANDING_FEATURES)), np.float32)
        assert not signals.any()


def test_without_a_text_model_there_are_no_signals_and_no_channels_of_text():
    engine = recommender(with_text=False)
    assert engine.signals(USER) is None
    prepared = engine.prepare(USER, engine.nothing(), None)
    assert prepared.matrix.shape == (4, len(FEATURES.behaviour))
    brought = {name for at in range(4) for name in prepared.candidates.provenance(at)}
    assert brought == {"repeat", "popular"}


def test_at_most_limit_items_are_prepared():
    engine = recommender(limit=2)
    prepared = engine.prepare(USER, engine.nothing(), engine.signals(USER))
    assert len(prepared.candidates) == len(prepared.matrix) == 2


def test_excluded_items_are_not_prepared():
    engine = recommender()
    prepared = engine.prepare(USER, engine.seen(USER), engine.signals(USER))
    assert sorted(prepared.candidates.positions.tolist()) == [0, 2]


def test_what_was_seen_is_the_history_and_nothing_is_no_item():
    engine = recommender()
    assert engine.seen(USER).tolist() == [False, True, False, True]
    assert engine.nothing().tolist() == [False] * 4


def test_topics_are_those_of_the_items_of_the_moment_and_the_vectors_of_the_scorer():
    topics = recommender().text.topics
    expected = Topics.of(TextNeighbours.of(FixedInterest.vectors), ITEMS)
    assert topics.columns.tolist() == expected.columns.tolist()
    assert topics.neighbours.weight.tolist() == expected.neighbours.weight.tolist()


@pytest.mark.parametrize("scores", [[0.5, 2.0, 0.5, 3.0, 2.0], np.array([0.5, 2.0, 0.5, 3.0, 2.0])])
def test_rows_go_from_the_highest_score_down_and_equal_scores_keep_their_order(scores):
    assert by_score(scores).tolist() == [3, 1, 4, 0, 2]


def test_many_equal_scores_keep_their_order():
    assert by_score(np.tile([1.0, 2.0], 500)).tolist() == [*range(1, 1000, 2), *range(0, 1000, 2)]


@pytest.mark.parametrize("signals", [(), signal_names(["purchase"])], ids=["behaviour", "text"])
def test_where_there_was_nothing_to_rank_from_items_go_by_text_and_popularity(signals):
    names = FEATURES.names(signals)
    rows = np.full((3, len(names)), np.nan, dtype=np.float32)
    rows[:, names.index("item_users_28d")] = [3, np.nan, 7]
    interest = np.zeros(3)
    if signals:
        interest = np.array([0.5, 0.25, 0.125])
        rows[:, names.index("text_interest")] = interest
    found = UntrainedRanker(names).predict(rows, num_threads=1)
    np.testing.assert_allclose(found, INTEREST_WEIGHT * interest + np.log([4, 1, 8]), rtol=1e-6)
    contributions = UntrainedRanker(names).predict(rows, pred_contrib=True)
    assert contributions.shape == (3, len(names) + 1)
    np.testing.assert_allclose(contributions.sum(axis=1), found, rtol=1e-12)
    np.testing.assert_allclose(contributions[:, names.index("item_users_28d")], np.log([4, 1, 8]), rtol=1e-12)
    assert not contributions[:, -1].any()


class ManyItems(FixedInterest):
    """A scorer of 3,000 items, by the cosine to a user's latest item; keeps how many it was asked for."""

    def __init__(self):
        random = np.random.default_rng(0)
        places = np.repeat(random.normal(size=(300, 16)), 10, axis=0) + 0.5 * random.normal(size=(3000, 16))
        self.vectors = (places / np.linalg.norm(places, axis=1, keepdims=True)).astype(np.float32)
        self.most = 0

    def score(self, user, now, candidates=None, query=None):
        rows = self.vectors if candidates is None else self.vectors[candidates]
        self.most = max(self.most, len(rows))
        interest = (rows @ self.vectors[user.history[0]] + 1) / 2 if len(user.history) else np.zeros(len(rows))
        return np.repeat(interest[:, None], len(SIGNALS), axis=1).astype(np.float32)

    def soft_maximum(self, user, now, query=None):
        last = self.vectors[user.history[:1]]
        one = np.ones(1, dtype=np.float32)
        directions = np.vstack([last, 0 * last])
        return SoftMaximum(directions, np.ones((1, 1), np.float32), 12.0, one, 0 * one) if len(last) else None


@pytest.fixture(scope="module")
def many() -> tuple[Recommender, Recommender]:
    """The same 3,000 items without an index and with one."""
    random = np.random.default_rng(1)
    users = np.floor(random.exponential(size=3000) * 3)
    columns = [users if name == "users_28d" else np.full(3000, np.nan) for name in FEATURES.item_columns]
    state = ItemState(NOW, FEATURES.item_columns, np.column_stack(columns), no_neighbours(3000))
    exact, indexed = (TextSide.of(ManyItems(), state, exact_up_to=most) for most in (3000, 2999))
    assert exact.nearest is None
    indexed.nearest._looked_at = 600
    return Recommender(FEATURES, state, exact, 40), Recommender(FEATURES, state, indexed, 40)


def test_above_a_number_of_items_an_index_finds_nearly_the_same_candidates_and_few_are_scored(many):
    exact, indexed = many
    shares = []
    for item in range(0, 3000, 150):
        user = replace(USER, history=np.array([item, 1]))
        expected, found = (one.prepare(user, one.seen(user), one.signals(user)) for one in many)
        assert not np.isin(user.history, found.candidates.positions).any()
        assert len(found.candidates) == 40
        shares.append(np.isin(expected.candidates.positions, found.candidates.positions).mean())
        # Of what both found text says the same; some other features are ranks among the candidates.
        _, here, there = np.intersect1d(found.candidates.positions, expected.candidates.positions, return_indices=True)
        by_text = slice(len(FEATURES.behaviour), None)
        np.testing.assert_allclose(found.matrix[here, by_text], expected.matrix[there, by_text], atol=1e-4)
    assert np.mean(shares) >= 0.95
    assert exact.text.scorer.most == 3000
    assert indexed.text.scorer.most < 800


def test_of_a_user_without_a_history_the_index_is_not_asked(many):
    nobody = replace(
        USER,
        **{name: getattr(USER, name)[:0] for name in ("history", "occasions", "first_at", "last_at", "types", "spent")},
    )
    expected, found = (one.prepare(nobody, one.nothing(), one.signals(nobody)) for one in many)
    assert found.candidates.positions.tolist() == expected.candidates.positions.tolist()
    np.testing.assert_array_equal(found.matrix, expected.matrix)
