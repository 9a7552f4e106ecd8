import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from recsys.bundle import Bundle, champion, open_bundle
from recsys.errors import BundleError
from tests.training.conftest import Evaluated, copy_of
from tests.training.project import chosen
from training.contenders import NEW_USERS, champion_of, drawn_users
from training.contest import hold
from training.pipeline import Pipeline
from training.publishing import publish_models


@pytest.fixture
def champion_and_later(evaluated: Evaluated, tmp_path) -> tuple[Pipeline, Bundle]:
    """A champion, and the shop with an item that it does not know and users who came after the cut."""
    workspace = copy_of(evaluated, tmp_path)
    pipeline = Pipeline(workspace, cut=evaluated.pipeline.cut)
    publish_models(pipeline, None)
    items, events = workspace.table_path("items"), workspace.table_path("interactions")
    table = pl.read_parquet(items)
    new = table.head(1).with_columns(item_id=pl.lit("aaa-new"), title=pl.lit("green garden glove"))
    pl.concat([table, new]).write_parquet(items)
    bought = chosen(*[(f"stranger-{nth}", "kit-00", 106 + nth / 10) for nth in range(9)], ("user-00", "aaa-new", 110))
    rows = pl.concat([pl.read_parquet(events), bought.drop("weight")], how="diagonal").sort("timestamp")
    rows.write_parquet(events)
    later = Pipeline(workspace, cut=evaluated.pipeline.cut)
    later.compute_features()
    return later, open_bundle(champion(workspace.bundles))


def test_the_champion_ranks_what_came_after_it_with_its_own_encoder(champion_and_later, evaluated):
    pipeline, bundle = champion_and_later
    contender = champion_of(pipeline, bundle)
    vectors = contender.recommender.text.scorer.vectors
    assert vectors.shape[0] == 61 == len(pipeline.catalogue)
    np.testing.assert_array_equal(vectors[1:], evaluated.pipeline.text.scorer(pipeline.cut).vectors)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1)


def test_users_who_came_after_the_cut_and_items_that_nobody_had_are_slices_of_their_own(champion_and_later):
    pipeline, bundle = champion_and_later
    contender = champion_of(pipeline, bundle)
    assert len(contender.cases[NEW_USERS]) == 9
    found = {one.name: one.users for one in hold(pipeline, contender, contender).slices}
    assert (found["new users"], found["new items"]) == (9, 1)


def test_both_have_the_same_users_in_the_same_order(champion_and_later, tmp_path):
    pipeline, bundle = champion_and_later
    pipeline.config = replace(pipeline.config, gate=replace(pipeline.config.gate, max_users=11))
    one = champion_of(pipeline, bundle)
    other = champion_of(pipeline, bundle)
    users = [case.user_id for case in one.cases["all"]]
    assert len(users) == 11
    assert users == sorted(users) == [case.user_id for case in other.cases["all"]]


def test_a_champion_of_other_features_cannot_be_compared(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    pipeline = Pipeline(workspace, cut=evaluated.pipeline.cut)
    publish_models(pipeline, None)
    bundle = open_bundle(champion(workspace.bundles))
    other = Bundle(bundle.path, replace(bundle.manifest, features=bundle.manifest.features[1:]))
    with pytest.raises(BundleError, match="other features than this configuration"):
        champion_of(pipeline, other)


def test_the_users_that_are_drawn_are_the_same_for_the_same_users():
    users = [f"u{nth}" for nth in range(30)]
    assert drawn_users(users, 30) == frozenset(users)
    assert drawn_users(users, 7) == drawn_users(users, 7)
    assert len(drawn_users(users, 7)) == 7
