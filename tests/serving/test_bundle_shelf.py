from pathlib import Path

import msgspec
import pytest

from recsys.bundle import Manifest, champion
from recsys.errors import BundleError
from serving.bundle_shelf import BundleShelf, NoSuchBundleError, differences, flat
from tests.recsys.test_bundle import manifest
from tests.serving.shelves import add_bundle, made_project


@pytest.fixture
def shelf(tmp_path: Path, made_scorer: Path) -> BundleShelf:
    return BundleShelf(made_project(tmp_path, made_scorer))


def test_every_bundle_is_listed_with_its_part_and_its_figure(shelf):
    shelf.promote("other")
    lines = {line.bundle_id: line for line in shelf.lines()}
    assert {name: (line.champion, line.previous) for name, line in lines.items()} == {
        "made": (False, True),
        "other": (True, False),
    }
    assert (lines["other"].metric, lines["other"].value) == ("ndcg@10", 0.5)
    assert lines["made"].value is None


def test_a_bundle_that_cannot_be_read_comes_last_and_says_so(shelf):
    (shelf.path / "made" / "manifest.json").write_text("{")
    assert [(line.bundle_id, line.problem) for line in shelf.lines()] == [
        ("other", None),
        ("made", "the manifest cannot be read"),
    ]


def test_what_is_promoted_and_gone_back_to_is_checked_against_the_features_of_the_project(shelf):
    add_bundle(shelf.path / "made", "old", features=["popularity_7d"])
    with pytest.raises(BundleError, match="the ranker's features are not those of this version"):
        shelf.promote("old")
    assert champion(shelf.path).name == "made"
    shelf.promote("other")
    (shelf.path / "champion").write_text("old\n")
    assert shelf.rollback() == "other"


@pytest.mark.parametrize("name", ["nope", "../made", "made/", "", "champion", "."])
def test_a_name_that_is_no_bundle_is_refused(shelf, name):
    with pytest.raises(NoSuchBundleError, match="there is no bundle"):
        shelf.promote(name)
    with pytest.raises(NoSuchBundleError, match="there is no bundle"):
        shelf.manifest(name)


def test_nested_figures_are_named_by_their_path():
    assert flat({"all": {"ndcg@10": 0.5, "cold": {}}, "n": 1}) == {"all.ndcg@10": 0.5, "all.cold": {}, "n": 1}


def with_(**said: object) -> Manifest:
    return msgspec.structs.replace(manifest("other"), **said)  # type: ignore[arg-type]


def test_two_bundles_differ_in_what_only_one_of_them_says():
    after = with_(
        features=["interest", "price"],
        metrics={"test": {"ndcg@10": 0.5, "mrr@10": 0.75}},
        text={"fields": ["title"], "max_tokens": 64},
    )
    assert differences(manifest("first"), after) == {
        "features": (["popularity_7d"], ["price"]),
        "metrics.test.ndcg@10": (0.25, 0.5),
        "metrics.test.mrr@10": (None, 0.75),
        "text.max_tokens": (32, 64),
    }


def test_lists_of_the_same_things_in_another_order_are_shown_whole():
    found = differences(manifest("first"), with_(features=["interest", "popularity_7d"]))
    assert found == {"features": (["popularity_7d", "interest"], ["interest", "popularity_7d"])}


def test_the_same_bundle_under_another_name_does_not_differ():
    assert differences(manifest("first"), with_()) == {}
