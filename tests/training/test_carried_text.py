import copy
import dataclasses
import shutil
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from recsys.bundle import Bundle, champion, open_bundle
from recsys.bundle_files import (
    BATCH_SCORER_FILE,
    ENCODER_FILE,
    RANKER_NETWORK_FILE,
    TOKENIZER_FILE,
    TRAINED_USERS_FILE,
    VECTORS_FILE,
)
from recsys.encoder import ItemEncoder
from recsys.forgetting.key import UserKey
from recsys.forgetting.lineage import read_trained_users, write_trained_users
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from tests.training.project import write_config
from training import pipeline as pipeline_module
from training.audit_leaks import audit_leaks, findings
from training.carried_text import CarriedText, vectors_as_served
from training.pipeline import Pipeline
from training.publishing import bundle_id, fill, publish_models
from training.text_stage import TextModel

CUT = datetime(2024, 4, 15, tzinfo=UTC)
LATER = CUT + timedelta(days=5)
NEW, CHANGED = "aaa-new", "gar-00"


@pytest.fixture(scope="module")
def carried(evaluated: Evaluated, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Pipeline, Bundle]:
    """A champion's pipeline, and one of five days later: an item is new, another has a new text."""
    workspace = copy_of(evaluated, tmp_path_factory.mktemp("carried"))
    before = Pipeline(workspace, cut=CUT)
    publish_models(before, None)
    bundle = open_bundle(champion(workspace.bundles))
    table = workspace.table_path("items")
    items = pl.read_parquet(table).with_columns(updated_at=pl.lit(None, pl.Datetime("us", "UTC")))
    came = items.head(2).with_columns(
        item_id=pl.Series([NEW, CHANGED]),
        title=pl.Series(["wooden sailing boat", "yellow watering can"]),
        updated_at=pl.lit(CUT + timedelta(days=2)).cast(pl.Datetime("us", "UTC")),
    )
    pl.concat([items, came]).write_parquet(table)
    text = CarriedText.of(bundle, workspace.cache)
    assert text is not None
    after = Pipeline(workspace, cut=LATER, carried=text)
    after.compute_features()
    return before, after, bundle


def test_nothing_is_trained_and_only_new_and_changed_items_have_other_vectors(carried, monkeypatch):
    before, after, _ = carried
    monkeypatch.setattr(pipeline_module, "finetune", None)
    folder = after.text.folder
    found, known = after.text.scorer(LATER).vectors, before.text.scorer(CUT).vectors
    assert after.catalogue.item_ids == [NEW, *before.catalogue.item_ids]
    changed = after.catalogue.index[CHANGED]
    same = np.delete(np.arange(61), [0, changed])
    np.testing.assert_array_equal(found[same], known[same - 1])
    encoder = ItemEncoder(folder / ENCODER_FILE, folder / TOKENIZER_FILE, max_tokens=32)
    np.testing.assert_allclose(
        found[[0, changed]], encoder.encode(["wooden sailing boat", "yellow watering can"]), atol=1e-5
    )


def test_each_window_is_scored_by_the_latest_fold_that_saw_nothing_of_it(carried):
    before, after, _ = carried
    # Five days after the champion the windows are the same, the latest five days longer.
    assert after.windows == before.windows
    assert after.spans[-2:] == [(before.windows[-1], LATER), (LATER, None)]
    for window in after.windows:
        assert after.text.fold(window).seen_until == before.text.fold(window).seen_until < window
        found, expected = after.text.scorer(window).vectors, before.text.scorer(window).vectors
        np.testing.assert_array_equal(found[1:], expected)
    # The encoder that serves has seen all of it, so that the new item is read by the pretrained one.
    pretrained = after.text.pretrained[0]
    np.testing.assert_array_equal(after.text.scorer(after.windows[0]).vectors[0], pretrained)


def test_the_ranker_learns_as_many_trees_as_the_one_before_and_no_row_of_it_saw_the_future(carried, monkeypatch):
    before, after, bundle = carried
    monkeypatch.setattr("training.ranker.probe", None)
    trees = before.trees(with_text=True).num_trees()
    assert after.trees(with_text=True).num_trees() == after.carried.chosen.trees == trees > 0
    # And so will the next one, until there is much more to learn from.
    assert after.chosen_trees == before.chosen_trees == after.carried.chosen
    assert bundle.manifest.ranker["chosen"] == msgspec.to_builtins(after.chosen_trees)
    assert findings(audit_leaks(after, rows=12, seed=0)) == []


@pytest.mark.parametrize("network", [True, False])
def test_a_network_that_served_beside_the_ranker_before_is_learned_again(carried, monkeypatch, network):
    _, after, _ = carried
    monkeypatch.setattr("training.ranker.probe", None)
    monkeypatch.setattr("training.ranker.ENOUGH_LISTS", 1)
    chosen = replace(after.carried.chosen, trees=3, network=network)
    pipeline = Pipeline(after.workspace, cut=after.cut, carried=dataclasses.replace(after.carried, chosen=chosen))
    assert (pipeline.ranker_folder(with_text=True) / RANKER_NETWORK_FILE).exists() == network
    assert pipeline.chosen_trees == chosen


def test_with_other_settings_of_the_ranker_or_much_more_rows_the_number_of_trees_is_chosen_anew(carried):
    _, after, _ = carried
    chosen = after.carried.chosen
    rows = chosen.rows
    assert chosen.serve(rows, chosen.settings)
    assert chosen.serve(rows // 2, chosen.settings)
    assert not chosen.serve(2 * rows, chosen.settings)
    assert not chosen.serve(rows, "other")
    other = with_ranker(after, l2=21.0)
    other.ranker(with_text=True)
    assert other.chosen_trees.settings != chosen.settings


def test_a_ranker_of_one_window_whose_number_of_trees_nobody_chose_says_so(carried):
    pipeline = with_ranker(carried[1], windows=1)
    assert pipeline.trees(with_text=True).num_trees() == pipeline.config.ranker.trees
    assert pipeline.chosen_trees is None


def with_ranker(pipeline: Pipeline, **settings: object) -> Pipeline:
    """The same with other settings of the ranker."""
    config = replace(pipeline.config, ranker=replace(pipeline.config.ranker, **settings))
    workspace = Workspace(pipeline.workspace.root, config)
    return Pipeline(workspace, cut=pipeline.cut, carried=pipeline.carried)


def test_the_graph_for_several_users_is_carried_into_the_bundle(carried, tmp_path):
    before, after, _ = carried
    fill(after, tmp_path)
    graph = (tmp_path / BATCH_SCORER_FILE).read_bytes()
    assert graph == (before.text.folder / BATCH_SCORER_FILE).read_bytes()
    # Of a version that wrote none there is none, and the bundle is made all the same.
    older = tmp_path / "older"
    shutil.copytree(after.text.folder, older / "text", ignore=shutil.ignore_patterns(BATCH_SCORER_FILE))
    pipeline = copy.copy(after)
    pipeline.text = TextModel(older / "text", after.text.history_items)
    (older / "bundle").mkdir()
    fill(pipeline, older / "bundle")
    assert not (older / "bundle" / BATCH_SCORER_FILE).exists()


def test_what_was_carried_is_carried_again(carried):
    before, after, _ = carried
    publish_models(after, None)
    again = CarriedText.of(open_bundle(after.workspace.bundles / bundle_id(after)), after.workspace.cache)
    assert (again.trained_until, again.folder) == (CUT, after.text.folder)
    later = Pipeline(after.workspace, cut=LATER + timedelta(days=9), carried=again)
    # Two weeks after the champion, its second window is the first.
    assert later.windows[0] == before.windows[1]
    for window, earlier in zip(later.windows, [*before.windows[1:], CUT], strict=True):
        np.testing.assert_array_equal(later.text.scorer(window).vectors[1:], before.text.scorer(earlier).vectors)
    np.testing.assert_array_equal(np.load(later.text.folder / VECTORS_FILE), after.text.scorer(LATER).vectors)


def test_it_serves_until_it_is_too_old_and_never_before_its_own_cut_or_its_first_fold(carried):
    _, after, bundle = carried
    text = CarriedText.of(bundle, after.workspace.cache)
    month = timedelta(days=28)
    moments = [*after.windows, after.cut]
    assert text.serves(moments, every=month)
    assert not text.serves(moments, every=timedelta(days=5))
    assert not text.serves([*after.windows, CUT - timedelta(days=1)], every=month)
    assert not text.serves([min(text.folds) - timedelta(days=1), *moments], every=month)


def test_a_bundle_whose_stage_is_gone_has_nothing_to_carry(carried, tmp_path):
    assert CarriedText.of(carried[2], tmp_path) is None


def test_other_settings_of_the_text_model_are_told_from_those_of_the_bundle(carried, evaluated):
    before, _, bundle = carried
    assert bundle.manifest.text["settings"] == before.text_settings_with(before.config.finetune)
    encoder = before.encoder
    changed = Pipeline(write_config(before.workspace.root, encoder, max_steps=11), cut=CUT)
    assert changed.text_settings_with(changed.config.finetune) != bundle.manifest.text["settings"]


class Reader:
    """Encodes a text as its length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text)] for text in texts], dtype=np.float32).reshape(-1, 1)


def test_as_served_known_texts_keep_their_vectors_and_others_are_encoded():
    reader = Reader()
    vectors = np.array([[10.0], [20.0], [30.0]], dtype=np.float32)
    rows = np.array([2, -1, 0, 1])
    found = vectors_as_served(vectors, ["a", "b", "c"], rows, ["c", "new", "a", "bb"], reader)
    assert found[:, 0].tolist() == [30, 3, 10, 2]
    assert reader.asked == ["new", "bb"]


def test_who_the_carried_model_learned_from_is_among_those_of_the_bundle_though_nothing_is_left_of_them(
    carried, tmp_path
):
    before, after, _ = carried
    gone = UserKey.of(before.workspace.root).shorts(["nobody-knows"])
    folder = after.text.folder
    learned = read_trained_users(folder)
    assert learned is not None
    assert learned.tolist() == before.trained_users.tolist()
    write_trained_users(folder, np.union1d(learned, gone))
    try:
        fill(after, tmp_path)
    finally:
        write_trained_users(folder, learned)
    found = read_trained_users(tmp_path)
    assert found is not None
    assert found.tolist() == np.union1d(after.trained_users, gone).tolist()


def test_a_text_model_that_does_not_say_whom_it_learned_from_is_not_carried(carried):
    before, _, bundle = carried
    path = before.text.folder / TRAINED_USERS_FILE
    path.rename(path.with_name("away"))
    try:
        assert CarriedText.of(bundle, before.workspace.cache) is None
    finally:
        path.with_name("away").rename(path)
