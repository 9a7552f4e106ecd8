import copy
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from safetensors.numpy import save_file

from features.daily.aggregates import DailyAggregates
from features.recommender import Recommender, UntrainedRanker
from recsys.bundle_files import VECTORS_FILE
from recsys.errors import ChannelError, ConfigError, DataError, LeakError
from recsys.retrieval import CHANNELS, Channels
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from tests.training.project import chosen, shop_project, shown, write_config
from training import evaluate as evaluate_module
from training import finetune as finetune_module
from training import pipeline as module
from training import text_stage
from training.evaluate import evaluate
from training.finetune import Finetuned
from training.pipeline import Pipeline
from training.ranker_rows import RankerRows
from training.windows import Window

CUT = datetime(2024, 4, 15, tzinfo=UTC)


def must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("computed again")


def encoder_of(evaluated: Evaluated) -> Path:
    return Path(evaluated.workspace.config.text.encoder or "")


# What the models may know


def test_windows_lie_one_after_another_before_the_cut_where_there_is_a_past(evaluated):
    assert evaluated.pipeline.windows == [CUT - timedelta(days=days) for days in (42, 28, 14)]


def test_windows_without_a_past_are_left_out(evaluated):
    early = Pipeline(evaluated.workspace, cut=datetime(2024, 2, 1, tzinfo=UTC))
    assert early.windows == [early.cut - timedelta(days=14)]


def test_items_are_kept_from_the_text_model_only_where_there_is_something_to_measure(evaluated):
    assert evaluated.pipeline.hidden.sum() == 6
    everything = Pipeline(evaluated.workspace, cut=None)
    assert not everything.hidden.any()
    assert everything.cut == everything.last + timedelta(microseconds=1)


@pytest.mark.parametrize(
    "leaking",
    [
        pytest.param(CUT - timedelta(days=56), id="the first training"),
        pytest.param(CUT - timedelta(days=42), id="a window"),
        pytest.param(CUT - timedelta(days=14), id="the last window"),
    ],
)
def test_a_ranker_is_not_trained_on_scores_of_a_text_model_that_saw_its_window(
    evaluated, tmp_path, monkeypatch, leaking
):
    honest = finetune_module.split_by_time

    def leaky(interactions: pl.DataFrame, moment: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
        return honest(interactions, CUT if moment == leaking else moment)

    workspace = copy_of(evaluated, tmp_path)
    shutil.rmtree(workspace.cache)
    monkeypatch.setattr(finetune_module, "split_by_time", leaky)
    monkeypatch.setattr(Finetuned, "uses_pretrained", False)
    # It would take seconds, and what is exported does not matter here.
    monkeypatch.setattr(text_stage, "export_encoder", lambda *_, **__: {})
    monkeypatch.setattr(module.TextModel, "_scorer", lambda *_: None)
    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.compute_features()
    with pytest.raises(LeakError, match="the text model learned from interactions until 2024-04-1"):
        pipeline.ranker(with_text=True)
    pipeline.ranker(with_text=False)


def test_each_window_of_the_ranker_is_scored_with_the_vectors_of_its_own_fold_and_ends_where_the_next_begins(
    evaluated, tmp_path, monkeypatch
):
    workspace = copy_of(evaluated, tmp_path)
    for folder in workspace.cache.glob("ranker*"):
        shutil.rmtree(folder)
    pipeline = Pipeline(workspace, cut=CUT)
    asked: list[datetime] = []
    found: list[tuple[Window, int]] = []
    scorer = module.TextModel.scorer

    def noted_scorer(text: module.TextModel, moment: datetime) -> object:
        asked.append(moment)
        return scorer(text, moment)

    def noted(recommender: Recommender, window: Window, *, gain_of: object, seed: int) -> None:
        assert recommender.text is not None
        assert recommender.items is window.items
        found.append((window, seed))

    monkeypatch.setattr(module.TextModel, "scorer", noted_scorer)
    monkeypatch.setattr("training.window_rows.ranker_rows", noted)
    pipeline.ranker(with_text=True)
    assert asked == pipeline.windows
    assert [window.start for window, _ in found] == pipeline.windows
    assert len({seed for _, seed in found}) == len(found)
    for (window, _), end in zip(found, [*pipeline.windows[1:], CUT], strict=True):
        assert window.labels == pipeline.window(window.start, end).labels


def test_every_fold_of_the_text_model_saw_only_what_came_before_it(evaluated):
    text = evaluated.pipeline.text
    for moment in [*evaluated.pipeline.windows, CUT]:
        assert datetime.fromisoformat(text.about["folds"][moment.isoformat()]["seen_until"]) < moment
    np.testing.assert_array_equal(text.scorer(CUT).vectors, np.load(text.folder / VECTORS_FILE))


def test_nothing_at_or_after_the_cut_changes_a_model(evaluated, tmp_path, monkeypatch):
    workspace = copy_of(evaluated, tmp_path)
    for folder in (workspace.cache, workspace.features):
        shutil.rmtree(folder)
    table = workspace.table_path("interactions")
    interactions = pl.read_parquet(table)
    after = pl.col("timestamp") >= CUT
    # It would take seconds, and follows from the vectors.
    monkeypatch.setattr(text_stage, "export_encoder", lambda *_, **__: {})
    # What was chosen after the cut goes to one user and one item; the end stays, for the features need one.
    changed = interactions.with_columns(
        user_id=pl.when(after).then(pl.lit("user-00")).otherwise("user_id"),
        item_id=pl.when(after).then(pl.lit("gar-00")).otherwise("item_id"),
    )
    changed.write_parquet(table)
    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.compute_features()
    assert pipeline.key != evaluated.pipeline.key
    for moment in [*pipeline.windows, CUT]:
        vectors = [one.text.scorer(moment).vectors for one in (pipeline, evaluated.pipeline)]
        np.testing.assert_array_equal(*vectors)
    assert pipeline.text.about["tower"] == evaluated.pipeline.text.about["tower"]
    for with_text in (True, False):
        trees, expected = (one.trees(with_text=with_text) for one in (pipeline, evaluated.pipeline))
        assert trees.model_to_string() == expected.model_to_string()


# What is learned from


def with_impressions(workspace: Workspace, *, day: int, lists: int = 40) -> None:
    """Lists of four items on one day after 2024-01-01, the second of which is bought."""
    items = ["gar-00", "kit-00", "off-00", "bat-00"]
    asked = [(f"request-{nth}", f"user-{nth % 20:02}", day + nth / 100, "") for nth in range(lists)]
    impressions = shown(*asked).with_columns(items=pl.lit(pl.Series([items])).first(), surface=pl.lit("home"))
    impressions.write_parquet(workspace.table_path("impressions"))
    bought = pl.concat(
        [chosen((user, "kit-00", when + 0.001), request_id=request).drop("weight") for request, user, when, _ in asked]
    )
    table = workspace.table_path("interactions")
    rows = pl.concat([pl.read_parquet(table), bought], how="diagonal").sort("timestamp", maintain_order=True)
    rows.write_parquet(table)


def parts_of(workspace: Workspace, **ranker: object) -> list[RankerRows]:
    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.config = replace(pipeline.config, ranker=replace(pipeline.config.ranker, **ranker))
    pipeline.compute_features()
    return pipeline.ranker_parts(with_text=False)


def test_the_ranker_learns_from_lists_that_were_shown_in_the_window_in_which_they_were(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    with_impressions(workspace, day=80)  # in the second of three windows, which begin on days 63, 77 and 91
    [only] = parts_of(workspace, learn_from="impressions")
    assert only.groups.tolist() == [4] * 40
    assert only.gains.tolist() == [0, 1, 0, 0] * 40
    assert only.places is not None
    assert only.places.tolist() == [1, 2, 3, 4] * 40
    before, second, after = parts_of(workspace, learn_from="both")
    assert before.places is None
    assert after.places is None
    assert second.groups.tolist()[-40:] == [4] * 40
    assert len(second.groups) > 40
    np.testing.assert_array_equal(second.matrix[-160:], only.matrix)


def test_what_is_retrieved_is_learned_from_as_well_until_there_are_enough_impressions(evaluated, tmp_path, monkeypatch):
    workspace = copy_of(evaluated, tmp_path)
    with_impressions(workspace, day=80)
    few = parts_of(workspace)
    assert [len(rows.groups) for rows in few] == [len(rows.groups) for rows in parts_of(workspace, learn_from="both")]
    monkeypatch.setattr("training.window_rows.ENOUGH_LISTS", 40)
    assert [len(rows.groups) for rows in parts_of(workspace)] == [40]
    assert all(rows.places is None for rows in parts_of(workspace, learn_from="retrieved"))


def test_an_answer_after_the_cut_is_not_known_to_the_ranker(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    with_impressions(workspace, day=104.9, lists=10)  # the cut is at the end of day 104
    assert len(parts_of(workspace, learn_from="impressions")[0].groups) == 10
    table = workspace.table_path("interactions")
    rows = pl.read_parquet(table)
    named = pl.col("request_id").is_not_null()
    rows.with_columns(timestamp=pl.when(named).then(CUT).otherwise("timestamp")).write_parquet(table)
    assert parts_of(workspace, learn_from="impressions") == []


def test_a_constraint_on_an_unknown_feature_is_refused_before_anything_is_computed(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    text = (workspace.root / "recsys.toml").read_text()
    toml = workspace.root / "recsys.toml"
    toml.write_text(text.replace("[ranker]", '[ranker]\nmonotone = { price = "decreasing" }'))
    with pytest.raises(ConfigError, match=r"monotone: 'price' is none of the .* did you mean .*item_price"):
        Pipeline(Workspace.open(toml), cut=CUT)
    toml.write_text(text.replace("[ranker]", '[ranker]\nmonotone = { text_interest = "increasing" }'))
    Pipeline(Workspace.open(toml), cut=CUT)


def test_the_ranker_has_the_text_features_when_it_is_asked_to(evaluated):
    features = evaluated.pipeline.features.names(evaluated.pipeline.text.signals)
    assert "text_interest" in features
    assert evaluated.pipeline.trees(with_text=True).feature_name() == list(features)
    assert evaluated.pipeline.trees(with_text=False).feature_name() == list(evaluated.pipeline.features.names())


# What is computed once


def test_evaluating_again_gives_the_same_report_and_trains_nothing(evaluated, monkeypatch):
    for name in ("finetune", "train_ranker", "save_text_model", "WindowRows"):
        monkeypatch.setattr(module, name, must_not_run)
    monkeypatch.setattr(evaluate_module, "measure", must_not_run)
    again = evaluate(evaluated.pipeline_again(), bundle="none yet")
    # Features lie outside the cache: what is missing of them is looked for each time.
    for report in (again, expected := copy.deepcopy(evaluated.report)):
        del report["seconds"]["features"]
    assert again == expected


def test_after_another_name_the_report_has_it_and_nothing_is_trained(evaluated, tmp_path, monkeypatch):
    copy_of(evaluated, tmp_path)
    workspace = write_config(tmp_path, encoder_of(evaluated), name="renamed")
    monkeypatch.setattr(module, "finetune", must_not_run)
    assert evaluate(Pipeline(workspace, cut=CUT), bundle="none yet")["dataset"] == "renamed"


def test_the_features_of_a_cut_are_there_again_after_another_cut_and_other_data(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    table = workspace.table_path("interactions")
    usual = table.read_bytes()
    Pipeline(workspace, cut=CUT - timedelta(days=28)).compute_features()
    pl.read_parquet(table).head(-100).write_parquet(table)
    Pipeline(workspace, cut=CUT).compute_features()
    table.write_bytes(usual)
    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.compute_features()
    assert pipeline.window(CUT, None).labels == evaluated.pipeline.window(CUT, None).labels


def test_with_a_day_more_in_the_tables_the_days_before_are_not_computed_again(evaluated, tmp_path, monkeypatch):
    workspace = copy_of(evaluated, tmp_path)
    shutil.rmtree(workspace.features)
    table = workspace.table_path("interactions")
    whole = pl.read_parquet(table)
    days = whole["timestamp"].dt.date().unique().sort()
    computed = []
    update = DailyAggregates.update

    def counted(aggregates: DailyAggregates, until: datetime) -> int:
        computed.append(update(aggregates, until))
        return computed[-1]

    monkeypatch.setattr(DailyAggregates, "update", counted)
    whole.filter(pl.col("timestamp").dt.date() < days[-1]).write_parquet(table)
    Pipeline(workspace, cut=CUT).compute_features()
    # The last day of a log is never over.
    assert sum(computed) == len(days) - 2
    computed.clear()
    whole.write_parquet(table)
    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.compute_features()
    # Nor are the snapshots of moments before it: only that of the end is another one.
    assert (sum(computed), len(computed)) == (1, 1)


def test_attributes_of_users_that_are_named_later_are_in_features_computed_anew_and_the_text_model_stays(
    evaluated, tmp_path
):
    workspace = copy_of(evaluated, tmp_path)
    pl.DataFrame({"user_id": ["user-00"], "age": [31]}).write_parquet(workspace.table_path("users"))
    before = Pipeline(workspace, cut=CUT)
    before.compute_features()
    text = (workspace.root / "recsys.toml").read_text().replace("[source]", '[source]\nusers = "users.csv"')
    (workspace.root / "recsys.toml").write_text(text + '\n[features]\nuser_attributes = { age = "numeric" }\n')
    pipeline = Pipeline(Workspace.open(workspace.root / "recsys.toml"), cut=CUT)
    pipeline.compute_features()
    users = pipeline.store.users_at(["user-00", "user-01"], pipeline.catalogue, CUT)
    assert [user.attributes[0] for user in users] == pytest.approx([31, np.nan], nan_ok=True)
    assert pipeline.text_key == before.text_key
    assert pipeline.ranker_key != before.ranker_key


def test_the_key_is_that_of_the_data_the_configuration_the_cut_and_the_encoder(evaluated, tmp_path):
    encoder = tmp_path / "encoder"
    shutil.copytree(encoder_of(evaluated), encoder)
    workspace = copy_of(evaluated, tmp_path / "project")

    def key(cut: datetime | None = CUT, **changes: int) -> str:
        return Pipeline(write_config(workspace.root, encoder, **changes), cut=cut).key

    usual = key()
    assert key() == usual
    assert key(name="renamed") == usual
    others = [key(max_steps=11), key(trees=61), key(CUT - timedelta(days=1)), key(None)]
    save_file({"other": np.zeros(1)}, encoder / "model.safetensors")
    others.append(key())
    table = workspace.table_path("interactions")
    pl.read_parquet(table).head(-1).write_parquet(table)
    others.append(key())
    assert len({usual, *others}) == 1 + len(others)


def test_the_key_is_that_of_the_channels_and_of_the_code_of_users_own(evaluated, tmp_path):
    config = copy_of(evaluated, tmp_path).root / "recsys.toml"
    keys = [evaluated.pipeline.ranker_key]
    for budgets in ("trending = 20", "trending = 30", "popular = 0"):
        config.write_text(f"{(evaluated.workspace.root / 'recsys.toml').read_text()}\n[retrieval.budgets]\n{budgets}\n")
        keys.append(Pipeline(Workspace.open(config), cut=CUT).ranker_key)
    for source in ("mine = shop:mine 1", "mine = shop:mine 2"):
        own = evaluated.pipeline_again()
        own.channels = Channels(CHANNELS, sources=(source,))
        keys.append(own.ranker_key)
    assert len(set(keys)) == 6


def test_a_channel_that_fails_stops_training(evaluated, tmp_path):
    def broken(query):
        raise ChannelError("entry point mine: KeyError")

    pipeline = Pipeline(copy_of(evaluated, tmp_path), cut=CUT)
    pipeline.channels = Channels({**CHANNELS, "mine": broken}, sources=("mine",))
    with pytest.raises(ChannelError, match="entry point mine"):
        pipeline.ranker(with_text=False)


# What cannot be learned from


def with_interactions(root: Path, tiny_encoder: Path, rows: pl.Expr) -> Workspace:
    workspace = shop_project(root, tiny_encoder)
    table = workspace.table_path("interactions")
    pl.read_parquet(table).filter(rows).write_parquet(table)
    return workspace


def test_without_interactions_nothing_is_held_back_and_items_go_by_their_texts(tmp_path, tiny_encoder, monkeypatch):
    monkeypatch.setattr(text_stage, "export_encoder", lambda *_, **__: {})
    pipeline = Pipeline(with_interactions(tmp_path, tiny_encoder, pl.lit(False)), cut=CUT)
    assert (pipeline.cut, pipeline.windows) == (pipeline.end, [])
    pipeline.compute_features()
    np.testing.assert_array_equal(pipeline.text.scorer(pipeline.cut).vectors, pipeline.text.pretrained)
    for with_text in (True, False):
        assert isinstance(pipeline.ranker(with_text=with_text), UntrainedRanker)


def test_without_tables_the_error_names_the_command(tmp_path, tiny_encoder):
    with pytest.raises(DataError, match=r"interactions.parquet: the table is missing; run `recsys import"):
        Pipeline(write_config(tmp_path, tiny_encoder), cut=None)


@pytest.mark.parametrize("cut", [datetime(2023, 12, 31, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)])
def test_a_cut_outside_the_data_is_refused_with_the_time_that_the_data_span(evaluated, cut):
    with pytest.raises(DataError, match=rf"run from 2024-01-01 .* to 2024-04-29 .*, the cut is {cut:%Y-%m-%d}"):
        Pipeline(evaluated.workspace, cut=cut)


def test_in_a_span_too_short_for_a_window_there_is_no_ranker_yet(evaluated, tmp_path):
    pipeline = Pipeline(copy_of(evaluated, tmp_path), cut=datetime(2024, 1, 28, tzinfo=UTC))
    assert pipeline.windows == []
    pipeline.compute_features()
    assert isinstance(pipeline.ranker(with_text=False), UntrainedRanker)


def test_when_nothing_retrieved_was_chosen_there_is_no_ranker_yet_and_it_is_said(tmp_path, tiny_encoder, capsys):
    workspace = with_interactions(tmp_path, tiny_encoder, pl.col("event_type") == "view")
    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.compute_features()
    assert isinstance(pipeline.ranker(with_text=False), UntrainedRanker)
    assert "ranker_no_text: nothing to learn from yet, items go by text and popularity" in capsys.readouterr().err


def test_the_key_of_the_text_model_is_that_of_its_settings_and_each_key_is_that_of_the_impressions(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    pipeline = Pipeline(workspace, cut=CUT)
    usual = pipeline.text_key
    assert pipeline.text_key_with(pipeline.config.finetune) == usual
    assert pipeline.text_key_with(replace(pipeline.config.finetune, anchor=9.0)) != usual
    shown(("r", "user-00", 3, "ab")).write_parquet(workspace.table_path("impressions"))
    assert Pipeline(workspace, cut=CUT).text_key != usual
    assert Pipeline(workspace, cut=CUT).ranker_key != pipeline.ranker_key
