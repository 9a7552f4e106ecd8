import copy
import shutil
from importlib.metadata import version

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import pytest
from feast import FeatureStore
from polars.testing import assert_frame_equal

from features.trees import open_ranker
from recsys.bundle import champion, list_bundles, open_bundle
from recsys.bundle_files import (
    BATCH_SCORER_FILE,
    CATALOGUE_FILE,
    NEAREST_FILE,
    RANKER_FILE,
    RANKER_FILES,
    RANKER_NETWORK_FILE,
    RANKER_ONNX_FILE,
    RANKER_ROWS_FILE,
    SMALLER_ENCODER_FILES,
    TEXT_FILES,
    TRAINED_USERS_FILE,
    VECTORS_FILE,
)
from recsys.forgetting.key import UserKey
from recsys.forgetting.lineage import read_trained_users
from recsys.rank_network import RankNetwork
from recsys.retrieval import CHANNELS
from recsys.retrieval.nearest import NearestItems
from recsys.trees import OnnxTrees
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated
from tests.training.project import user_of, write_config
from training import publishing
from training.pipeline import Pipeline
from training.publishing import bundle_id, publish_models


@pytest.fixture(scope="module")
def published(evaluated: Evaluated, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """A copy of the project, after its models were published."""
    root = tmp_path_factory.mktemp("published")
    shutil.copytree(evaluated.workspace.root, root, dirs_exist_ok=True)
    workspace = Workspace.open(root / "recsys.toml")
    pipeline = Pipeline(workspace, cut=evaluated.pipeline.cut)
    publish_models(pipeline, evaluated.report)
    return Evaluated(workspace, pipeline, evaluated.report)


def test_the_champion_is_a_whole_bundle_of_everything_that_serves(published):
    bundle = open_bundle(champion(published.workspace.bundles))
    kept = {
        SMALLER_ENCODER_FILES[name]
        for name, figures in published.pipeline.text.about["encoders"].items()
        if name in SMALLER_ENCODER_FILES and figures["kept"]
    }
    assert set(bundle.manifest.files) == {
        CATALOGUE_FILE,
        TRAINED_USERS_FILE,
        BATCH_SCORER_FILE,
        # Of a shop as small as this one no network learns.
        *(set(RANKER_FILES) - {RANKER_NETWORK_FILE}),
        *TEXT_FILES,
        *kept,
    }


def test_a_large_catalogue_has_an_index_in_its_bundle(published, tmp_path):
    config = msgspec.structs.replace(
        published.pipeline.config,
        retrieval=msgspec.structs.replace(published.pipeline.config.retrieval, exact_up_to_items=59),
    )
    pipeline = copy.copy(published.pipeline)
    pipeline.config = config
    publishing.fill(pipeline, tmp_path)
    index = NearestItems.load(tmp_path / NEAREST_FILE)
    interest = pipeline.text.scorer(pipeline.cut).soft_maximum(user_of({}), 0.0, np.load(tmp_path / VECTORS_FILE)[7])
    assert 7 in index.near(interest, limit=5, exclude=np.zeros(60, dtype=np.bool_))
    window = pipeline.window(pipeline.cut, None)
    recommender = pipeline.recommender(window.items, pipeline.text.scorer(pipeline.cut))
    assert recommender.text.nearest is not None


def test_the_bundle_holds_the_models_of_the_pipeline(published):
    folder, pipeline = champion(published.workspace.bundles), published.pipeline
    np.testing.assert_array_equal(np.load(folder / VECTORS_FILE), pipeline.text.scorer(pipeline.cut).vectors)
    assert_frame_equal(pl.read_parquet(folder / CATALOGUE_FILE), pipeline.catalogue.table)
    rows = np.random.default_rng(0).random((50, len(pipeline.features.names(pipeline.text.signals))))
    found, expected = lgb.Booster(model_file=folder / RANKER_FILE), pipeline.ranker(with_text=True)
    np.testing.assert_array_equal(found.predict(rows), expected.predict(rows))
    float32 = rows.astype(np.float32)
    on_onnx = OnnxTrees(folder / RANKER_ONNX_FILE).predict(float32)
    np.testing.assert_allclose(on_onnx, expected.predict(float32), rtol=0, atol=1e-5)
    sample = np.load(folder / RANKER_ROWS_FILE)
    assert sample.shape == (pipeline.config.retrieval.candidates, len(pipeline.features.names(pipeline.text.signals)))
    assert sample.dtype == np.float32


def test_a_network_that_serves_beside_the_trees_is_of_the_bundle(published, tmp_path, monkeypatch):
    monkeypatch.setattr("training.ranker.ENOUGH_LISTS", 1)
    monkeypatch.setattr("training.ranker.network_serves", lambda *_: True)
    ranker = msgspec.structs.replace(published.pipeline.config.ranker, trees=5)
    config = msgspec.structs.replace(published.pipeline.config, ranker=ranker)
    pipeline = Pipeline(Workspace(published.workspace.root, config), cut=published.pipeline.cut)
    publishing.fill(pipeline, tmp_path)
    rows = np.load(tmp_path / RANKER_ROWS_FILE)
    served, trained = (
        open_ranker(tmp_path, pipeline.features.names(pipeline.text.signals)),
        pipeline.ranker(with_text=True),
    )
    np.testing.assert_allclose(served.predict(rows), trained.predict(rows), rtol=0, atol=1e-9)
    of_trees = pipeline.trees(with_text=True).predict(rows)
    np.testing.assert_allclose(
        trained.predict(rows), of_trees + RankNetwork.load(tmp_path / RANKER_NETWORK_FILE).scores(rows), atol=1e-9
    )
    assert np.abs(trained.predict(rows) - of_trees).max() > 0.01
    assert pipeline.chosen_trees.network


def test_the_manifest_says_what_it_was_made_of_and_how_good_it_is(published):
    manifest = open_bundle(champion(published.workspace.bundles)).manifest
    pipeline = published.pipeline
    assert manifest.bundle_id == f"made-up-shop-20240415-{pipeline.key[:8]}"
    assert manifest.dataset == "made-up shop"
    assert (manifest.trained_from, manifest.trained_until) == (pipeline.first, pipeline.cut)
    assert manifest.features == list(pipeline.features.names(pipeline.text.signals))
    assert manifest.channels == list(CHANNELS)
    assert manifest.metrics == published.report["models"]["recsys"]
    assert manifest.text["dimension"] == 32
    assert manifest.text["template"] == "{title}"
    assert manifest.text["tower"].keys() == {"purchase"}
    assert manifest.text["texts"] == {"items": 60, "empty": 0, "cut": 0}
    trees = lgb.Booster(model_file=champion(published.workspace.bundles) / RANKER_FILE).num_trees()
    assert manifest.ranker["trees"] == manifest.ranker["chosen"]["trees"] == trees > 0
    assert manifest.ranker["network"] is manifest.ranker["chosen"]["network"] is False
    assert 0 <= manifest.ranker["onnx_difference"] <= 1e-5
    assert manifest.versions["lightgbm"] == version("lightgbm")


def test_the_online_store_is_filled_up_to_the_end_of_the_data(published):
    pipeline = published.pipeline
    assert pipeline.store.online_as_of() == pipeline.end
    last = pipeline.interactions.row(-1, named=True)
    history = pipeline.store.online_user(last["user_id"], pipeline.catalogue).history
    assert pipeline.catalogue.item_ids[history[0]] == last["item_id"]


def test_the_features_are_a_project_for_the_commands_of_feast(published):
    folder = published.pipeline.store.folder
    feast = FeatureStore(repo_path=str(folder))
    found = feast.get_online_features(["user_behaviour:occasions"], {"user_id": ["user-01"]})
    (occasions,) = found.to_dict()["occasions"]
    user = published.pipeline.store.online_user("user-01", published.pipeline.catalogue)
    assert occasions == user.behaviour[published.pipeline.features.user_columns.index("occasions")]


def test_publishing_again_leaves_the_bundle_and_promotes_it(published):
    folder = champion(published.workspace.bundles)
    before = (folder / "manifest.json").read_bytes()
    (published.workspace.bundles / "champion").unlink()
    assert publish_models(Pipeline(published.workspace, cut=published.pipeline.cut), None) == folder
    assert champion(published.workspace.bundles) == folder
    assert (folder / "manifest.json").read_bytes() == before
    assert list_bundles(published.workspace.bundles) == [folder]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Küche & Bad", "K-che-Bad"), ("_shop_", "shop"), ("", "recsys"), ("店", "recsys"), ("s" * 200, "s" * 60)],
)
def test_a_name_of_any_letters_gives_a_bundle_that_can_be_published(evaluated, tmp_path, name, expected):
    shutil.copytree(evaluated.workspace.root, tmp_path, dirs_exist_ok=True)
    workspace = write_config(tmp_path, evaluated.pipeline.encoder, name=name)
    pipeline = Pipeline(workspace, cut=evaluated.pipeline.cut)
    assert bundle_id(pipeline) == f"{expected}-20240415-{evaluated.pipeline.key[:8]}"
    publish_models(pipeline, None)
    manifest = open_bundle(champion(workspace.bundles)).manifest
    assert (manifest.dataset, manifest.metrics) == (name, {})


def test_a_bundle_says_whom_it_learned_from_and_names_nobody(published):
    workspace, pipeline = published.workspace, published.pipeline_again()
    bundle = open_bundle(champion(workspace.bundles))
    before = pipeline.interactions.filter(pl.col("timestamp") < pipeline.cut)["user_id"].unique()
    found = read_trained_users(bundle.path)
    assert found is not None
    assert found.tolist() == UserKey.existing(workspace.root).shorts(before).tolist()
    assert len(found) == len(before) < pipeline.interactions["user_id"].n_unique() + 1
    assert TRAINED_USERS_FILE in bundle.manifest.files
