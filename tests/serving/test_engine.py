"""The engine on a bundle made by hand: tests.serving.made_bundle says what is in it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from recsys.bundle import open_bundle
from recsys.retrieval import CHANNELS, Channels
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.engine import load_engine
from serving.item_types import ItemChange, ItemVersion
from tests.recsys.project import ITEMS, project
from tests.serving.made_bundle import MadeStore, made_engine, publish_made_bundle


@pytest.fixture(params=[False, True], ids=["all items compared", "by an index"])
def engine(tmp_path: Path, made_scorer: Path, request: pytest.FixtureRequest) -> BundleEngine:
    return made_engine(tmp_path, made_scorer, indexed=request.param)


CONFIG = """
[retrieval.budgets]
popular = 0
interest_popular = 3
"""


def put(engine: BundleEngine, sequence: int, item_id: str, title: str) -> None:
    item = ItemVersion(item_id, {"title": title})
    (vector,) = engine.encode_items([item])
    engine.apply_items([ItemChange(sequence, item, vector)])


def remove(engine: BundleEngine, sequence: int, item_id: str) -> None:
    engine.apply_items([ItemChange(sequence, ItemVersion(item_id, None), None)])


def recommended(engine: BundleEngine, user_id: str = "fan", limit: int = 3) -> list[str]:
    found = engine.recommend(Asked(user_id, limit=limit), exclude=["a1"])
    return [item.item_id for item in found.items]


def ranked(engine: BundleEngine, *candidates: str) -> list[str]:
    return [item.item_id for item in engine.rank(Asked("fan"), candidates).items]


def test_a_new_item_like_the_history_is_recommended_and_ranked_first(engine):
    assert recommended(engine, limit=1) == ["a2"]
    assert engine.rank(Asked("fan"), ["n", "p1"]).unknown == ["n"]
    put(engine, 1, "n", "red apple")
    assert recommended(engine, limit=2) == ["n", "a2"]
    assert ranked(engine, "p1", "a2", "n") == ["n", "a2", "p1"]
    (first, *_) = engine.rank(Asked("fan"), ["n"]).items
    assert first.title == "red apple"


def test_a_new_item_does_not_come_between_an_unknown_user_and_what_sells(engine):
    put(engine, 1, "n", "red apple")
    assert all(item.startswith("x") for item in recommended(engine, user_id="nobody"))


def test_a_changed_title_changes_the_place(engine):
    put(engine, 1, "p1", "red apple")
    put(engine, 2, "a2", "pear")
    assert recommended(engine, limit=1) == ["p1"]
    assert ranked(engine, "a2", "p1") == ["p1", "a2"]
    assert engine.rank(Asked("fan"), ["p1"]).items[0].title == "red apple"


def test_an_item_taken_out_is_unknown_and_not_recommended_and_a_history_may_still_hold_it(engine):
    remove(engine, 1, "a1")
    assert not engine.has_item("a1")
    assert engine.rank(Asked("fan"), ["a1", "a2"]).unknown == ["a1"]
    everything = engine.recommend(Asked("fan", limit=40))
    assert "a1" not in [item.item_id for item in everything.items]
    assert everything.items[0].item_id == "a2"
    put(engine, 2, "a1", "red apple")
    assert engine.has_item("a1")


def test_of_two_changes_the_later_one_in_the_log_counts_whichever_comes_first(engine):
    put(engine, 5, "n", "red apple")
    put(engine, 4, "n", "pear")
    remove(engine, 3, "n")
    assert engine.rank(Asked("fan"), ["n"]).items[0].title == "red apple"
    remove(engine, 6, "n")
    assert not engine.has_item("n")
    remove(engine, 8, "never-seen")
    put(engine, 7, "never-seen", "red apple")
    assert not engine.has_item("never-seen")


def test_the_file_of_the_vectors_stays_as_it_is(engine, tmp_path):
    before = (tmp_path / "bundles" / "made" / "item_vectors.npy").read_bytes()
    put(engine, 1, "a1", "pear")
    assert (tmp_path / "bundles" / "made" / "item_vectors.npy").read_bytes() == before
    open_bundle(tmp_path / "bundles" / "made")


def test_a_log_is_followed_where_it_differs_from_the_bundle(engine, tmp_path, monkeypatch):
    noon = datetime(2024, 5, 1, tzinfo=UTC)
    changes: list[ItemChange] = []
    apply = engine.live.apply_items
    monkeypatch.setattr(engine.live, "apply_items", lambda found: changes.extend(found) or apply(found))
    logged = [
        (1, ItemVersion("a1", {"title": "red apple", "price": 2}, noon)),
        (2, ItemVersion("n", {"title": "apple red"}, noon)),
        (3, ItemVersion("p1", None, noon)),
        (4, ItemVersion("a2", {"title": "pear"}, noon)),
        (5, ItemVersion("came-and-went", None, noon)),
    ]
    engine.replay(logged, tmp_path / "embeddings.db")
    assert [change.item.item_id for change in changes] == ["n", "p1", "a2"]
    assert recommended(engine, limit=1) == ["n"]
    assert not engine.has_item("p1")
    assert engine.live.items.vectors[engine.catalogue.index["a2"]].tolist() == [0, 1, 0, 0, 0]
    # Started again, it encodes nothing: the vectors are in the cache.
    monkeypatch.setattr(engine.live.text.encoder, "_session", None)
    engine.replay([(2, ItemVersion("m", {"title": "apple red"}, noon))], tmp_path / "embeddings.db")
    assert engine.has_item("m")


def test_many_items_are_encoded_each_in_its_own_row(engine):
    vectors = engine.encode_items([ItemVersion("i", {"title": title}) for title in ("pear", "", "box")])
    assert vectors.tolist() == [[0, 1, 0, 0, 0], [0] * 5, [0, 0, 1, 0, 0]]


def test_a_query_of_an_unknown_user_is_answered_by_its_text_and_not_by_what_sells(engine):
    assert recommended(engine, user_id="nobody", limit=1)[0].startswith("x")
    found = engine.recommend(Asked("nobody", limit=3, query="green apple")).items
    assert [item.item_id for item in found[:2]] == ["a2", "a1"]
    # Cosines of 1, 1/2 and 0, as interests in [0, 1].
    assert [item.score for item in found] == pytest.approx([1, 0.75, 0.5], abs=1e-3)
    ranked = engine.rank(Asked("nobody", limit=2, query="pear"), ["x1", "p1", "a1", "a2"]).items
    assert ranked[0].item_id == "p1"


def test_a_query_counts_beside_the_history(engine):
    assert recommended(engine, limit=1) == ["a2"]
    found = engine.recommend(Asked("fan", limit=40, query="pear"), exclude=["a1"]).items
    assert found[0].item_id == "p1"
    # What the user likes comes before what he neither asked for nor likes.
    assert [item.item_id for item in found].index("a2") == 1
    assert engine.rank(Asked("fan", query="pear"), ["a2", "x1", "p1"]).items[0].item_id == "p1"


def test_a_query_finds_a_new_item(engine):
    put(engine, 1, "n", "green pear")
    found = engine.recommend(Asked("nobody", limit=2, query="green pear")).items
    assert found[0].item_id == "n"


@pytest.mark.parametrize("query", ["", " \n\t", "\x00", "zzz unheard"])
def test_a_query_that_says_nothing_is_none(engine, query):
    for user in ("fan", "nobody"):
        without = engine.recommend(Asked(user, limit=5))
        assert engine.recommend(Asked(user, limit=5, query=query)) == without
        ranked = engine.rank(Asked(user), ["p1", "x1", "a1"])
        assert engine.rank(Asked(user, query=query), ["p1", "x1", "a1"]) == ranked


# Similar to an item


def similar(engine: BundleEngine, item_id: str, limit: int = 40) -> list[str]:
    return [item.item_id for item in engine.similar(Asked(limit=limit), item_id).items]


def test_similar_items_are_those_with_a_word_in_common_without_the_item_itself(engine):
    found = engine.similar(Asked(limit=40), "a1")
    assert [(item.item_id, item.channels, item.title) for item in found.items] == [("a2", ("text",), "green apple")]
    assert found.degraded == []
    assert similar(engine, "x1", limit=3) == ["x2", "x3", "x4"]


def test_a_new_item_has_similar_ones_and_is_similar_at_once(engine):
    put(engine, 1, "n", "green pear")
    assert sorted(similar(engine, "n")) == ["a2", "p1"]
    assert similar(engine, "p1") == ["n"]


def test_an_item_taken_out_is_similar_to_none(engine):
    remove(engine, 1, "a2")
    assert similar(engine, "a1") == []


def test_similar_items_are_also_those_that_the_same_users_chose(tmp_path, made_scorer):
    class Together(MadeStore):
        def online_items(self, catalogue):
            found = super().online_items(catalogue)
            size, at = len(catalogue), catalogue.index
            matrix = sp.csr_array(([2.0], ([at["a1"]], [at["p1"]])), shape=(size, size), dtype=np.float32)
            return replace(found, neighbours=found.neighbours._replace(users=matrix))

    engine = made_engine(tmp_path, made_scorer, Together())
    put(engine, 1, "n", "red apple")
    found = engine.similar(Asked(limit=40), "a1").items
    assert [(item.item_id, item.channels) for item in found] == [
        ("n", ("text",)),
        ("p1", ("cooccurrence",)),
        ("a2", ("text",)),
    ]


# Channels


def test_a_channel_that_fails_costs_no_answer_and_the_answer_says_so(tmp_path, made_scorer):
    def broken(query):
        raise KeyError("season")

    channels = Channels({**CHANNELS, "season": broken})
    engine = made_engine(tmp_path, made_scorer, channels=channels)
    found = engine.recommend(Asked("fan", limit=3), exclude=["a1"])
    assert (found.items[0].item_id, found.degraded) == ("a2", ["channel season: error"])
    # Ranking needs no channel.
    assert engine.rank(Asked("fan"), ["p1", "a2"]).degraded == []


def test_the_engine_of_a_project_has_its_channels_and_tells_how_they_differ_from_those_of_training(
    tmp_path, made_scorer, monkeypatch, caplog
):
    monkeypatch.setattr("serving.engine.OnlineBehaviour.of", lambda workspace: MadeStore())
    workspace = project(tmp_path, types="click = { label = true }", items=ITEMS, more=CONFIG)
    publish_made_bundle(workspace.bundles, made_scorer, channels=CHANNELS)
    found = load_engine(workspace).recommend(Asked("nobody", limit=40, query="pear")).items
    brought = [item.channels for item in found]
    # Nothing is fresh and nobody has a history: the text knows all twelve items, three of them with popularity.
    assert len(brought) == 12
    assert brought.count(("interest_popular", "interest")) == 3
    assert brought.count(("interest",)) == 9
    assert "made: of the channels that it was trained with this server lacks popular; install them" in caplog.text
