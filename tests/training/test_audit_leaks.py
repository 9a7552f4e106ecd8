import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from features import exposure
from features.daily.aggregates import DailyAggregates
from features.daily.partials import Partials
from recsys.catalogue import Catalogue
from recsys.cli import audit
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from tests.training.project import shop_project
from training import text_stage
from training.audit_leaks import AuditedWindow, audit_leaks, findings, items_before
from training.pipeline import Pipeline
from training.text_stage import TEXT_FILE

CUT = datetime(2024, 4, 15, tzinfo=UTC)
WINDOW = CUT - timedelta(days=28)
OF_NEIGHBOURS = {"cooccurrence_sum", "cooccurrence_max", "cooccurrence_last_occasion", "topic_cooccurrence"}


def audited(workspace: Workspace, *, rows: int = 40) -> list[AuditedWindow]:
    """As another process would: nothing is in memory."""
    return audit_leaks(Pipeline(workspace, cut=CUT), rows=rows, seed=0)


def leaks(found: list[AuditedWindow]) -> dict[datetime, set[str]]:
    """What differs in each window in which anything does."""
    return {
        window.start: {difference.what for difference in window.differences} for window in found if window.differences
    }


def with_features_anew(evaluated: Evaluated, root: Path) -> Workspace:
    """A copy of the project whose snapshots are its own: Feast's registry names those of the original."""
    workspace = copy_of(evaluated, root)
    shutil.rmtree(workspace.features)
    Pipeline(workspace, cut=CUT).compute_features()
    return workspace


def snapshot(workspace: Workspace, view: str, ending: str) -> Path:
    [path] = (workspace.features / view).glob(f"{WINDOW:%Y-%m-%d}*{ending}")
    return path


# What passes


def test_rows_made_from_the_past_alone_are_those_that_the_pipeline_makes(evaluated):
    found = audited(evaluated.workspace)
    pipeline = evaluated.pipeline
    assert [window.start for window in found] == [*pipeline.windows, CUT]
    assert [window.end for window in found] == [*pipeline.windows[1:], CUT, None]
    assert leaks(found) == {}
    assert findings(found) == []
    names = pipeline.features.names(pipeline.text.signals)
    for window in found:
        assert (window.users, window.rows) == (len(pipeline.window(window.start, window.end).users), 10)
        assert window.columns == len(names)
        assert window.values % len(names) == 0
        assert window.values > 10 * len(names)


def test_few_windows_are_drawn_and_the_time_after_the_cut_is_always_among_them(evaluated):
    drawn = set()
    for seed in range(8):
        found = audit_leaks(evaluated.pipeline, rows=2, seed=seed, windows=2)
        assert [window.rows for window in found] == [1, 1]
        assert found[-1].start == CUT
        drawn.add(found[0].start)
    assert drawn == set(evaluated.pipeline.windows)


def test_no_more_rows_are_audited_than_a_window_has(evaluated):
    assert all(window.rows == window.users for window in audited(evaluated.workspace, rows=10_000))


def versions(*, renamed_at: datetime) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Items of which the first is called otherwise from a moment on."""

    def changed(items: pl.DataFrame) -> pl.DataFrame:
        first = items.with_columns(updated_at=pl.lit(CUT - timedelta(days=90)))
        later = first.head(1).with_columns(title=pl.lit("sailing boat"), updated_at=pl.lit(renamed_at))
        return pl.concat([first, later.cast(dict(first.schema))])

    return changed


@pytest.fixture
def renamed(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A shop in which an item has another title since the second of three windows began."""
    # It would take seconds, and no row depends on it.
    monkeypatch.setattr(text_stage, "export_encoder", lambda *_, **__: {})
    workspace = shop_project(tmp_path, tiny_encoder)
    table = workspace.table_path("items")
    versions(renamed_at=WINDOW)(pl.read_parquet(table)).write_parquet(table)
    return workspace


def test_a_text_that_was_changed_later_reaches_no_earlier_window(renamed):
    assert leaks(audited(renamed)) == {}


# What is found


@pytest.fixture
def showing(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A shop that logged what it showed: what was viewed, a minute before, and beside it the first item."""
    monkeypatch.setattr(text_stage, "export_encoder", lambda *_, **__: {})
    workspace = shop_project(tmp_path, tiny_encoder)
    table = workspace.table_path("interactions")
    interactions = pl.read_parquet(table).with_columns(request_id="event_id")
    interactions.write_parquet(table)
    shown = interactions.filter(pl.col("event_type") == "view").select(
        "request_id",
        "user_id",
        pl.col("timestamp").dt.offset_by("-1m"),
        items=pl.concat_list("item_id", pl.lit(interactions["item_id"].min())),
    )
    shown.write_parquet(workspace.table_path("impressions"))
    return workspace


def test_what_was_shown_later_reaches_no_window_and_is_found_when_it_does(showing, monkeypatch):
    assert leaks(audited(showing)) == {}
    shutil.rmtree(showing.features)
    honest = exposure.before
    with monkeypatch.context() as patch:
        patch.setattr(exposure, "before", lambda rows, at: honest(rows, at + timedelta(days=7 * (at == WINDOW))))
        Pipeline(showing, cut=CUT).compute_features()
    found = leaks(audited(showing))
    assert found == {WINDOW: {"item_shown_7d", "item_shown_28d", "item_ctr_view_28d"}}


@pytest.mark.parametrize("is_mended", [True, False], ids=["an old snapshot", "the code as it is"])
def test_an_aggregate_that_looks_beyond_the_moment_is_found_with_the_features_it_fills(
    evaluated, tmp_path, monkeypatch, is_mended
):
    workspace = copy_of(evaluated, tmp_path)
    shutil.rmtree(workspace.features)
    honest = DailyAggregates.between

    def leaking(days: DailyAggregates, since: datetime | None, until: datetime) -> Partials:
        # A window of the cut ends there as well, and begins otherwise.
        is_end = until == WINDOW and since in (None, WINDOW - timedelta(days=1))
        until += timedelta(days=7 * is_end)
        days.update(until)
        return honest(days, since, until)

    with monkeypatch.context() as patch:
        patch.setattr(DailyAggregates, "between", leaking)
        Pipeline(workspace, cut=CUT).compute_features()
        found = audited(workspace) if not is_mended else []
    found = found or audited(workspace)
    assert leaks(found).keys() == {WINDOW}
    assert {"item_users_28d", "item_idle_days", "user_occasions", "times_chosen"} <= leaks(found)[WINDOW]
    more = [one for window in found for one in window.differences if one.what == "item_users"]
    assert all(one.found > one.expected for one in more)
    [told] = [line for line in findings(found) if " item_users, " in line]
    assert told.startswith(
        f"window {WINDOW.isoformat()}: item_users, row {more[0].row}, item {more[0].item_id}: found "
    )
    assert "remove features/ of the project and run `recsys train` again" in told


def test_a_snapshot_that_was_tampered_with_is_found(evaluated, tmp_path):
    workspace = with_features_anew(evaluated, tmp_path)
    path = snapshot(workspace, "user_behaviour", "parquet")
    pl.read_parquet(path).with_columns(pl.col("occasions_90d") + 1).write_parquet(path)
    assert leaks(audited(workspace)) == {WINDOW: {"user_occasions_90d"}}


def test_neighbours_that_were_tampered_with_are_found(evaluated, tmp_path):
    workspace = with_features_anew(evaluated, tmp_path)
    path = snapshot(workspace, "cooccurrence", "npz")
    with np.load(path) as saved:
        parts = dict(saved)
    # Twice as strong, so that the order of the candidates stays.
    np.savez(path, **{**parts, "users_data": 2 * parts["users_data"]})
    assert leaks(audited(workspace)) == {WINDOW: OF_NEIGHBOURS}


def test_a_version_of_an_item_from_the_future_is_found_with_both_titles(renamed, monkeypatch):
    audited(renamed)
    monkeypatch.setattr(Catalogue, "at", lambda catalogue, _: catalogue)
    found = audited(renamed)
    # The version is of the moment at which the second window begins, and is not known before it.
    windows = [CUT - timedelta(days=42), WINDOW]
    assert leaks(found) == {window: {"title of the catalogue", "updated_at of the catalogue"} for window in windows}
    [told, _, _, _] = findings(found)
    assert "title of the catalogue, item gar-00: found sailing boat, expected red watering can" in told


def test_a_text_model_that_read_a_text_from_the_future_is_found(renamed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "at", lambda catalogue, _: catalogue)
        pipeline = Pipeline(renamed, cut=CUT)
        pipeline.compute_features()
        _ = pipeline.text
    found = audited(renamed)
    assert leaks(found) == {
        CUT - timedelta(days=42): {"seen_until of the text fold"},
        WINDOW: {"seen_until of the text fold"},
    }


def test_a_fold_that_learned_until_after_its_window_is_found_and_behaviour_is_compared_without_it(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    [path] = workspace.cache.glob(f"text-*/{TEXT_FILE}")
    about = json.loads(path.read_text())
    about["folds"][WINDOW.isoformat()]["seen_until"] = CUT.isoformat()
    path.write_text(json.dumps(about))
    found = audited(workspace)
    assert leaks(found) == {WINDOW: {"seen_until of the text fold"}}
    assert [window.columns == len(evaluated.pipeline.features.names()) for window in found] == [
        False,
        True,
        False,
        False,
    ]
    assert findings(found) == [
        f"window {WINDOW.isoformat()}: seen_until of the text fold: found {CUT}, expected before {WINDOW}; "
        "remove cache/ of the project and run `recsys train` again"
    ]


def test_vectors_that_are_not_those_of_the_fold_are_found(evaluated, tmp_path):
    workspace = copy_of(evaluated, tmp_path)
    [folder] = workspace.cache.glob("text-*")
    shutil.copyfile(folder / "item_vectors.npy", folder / "fold_1.npy")
    vectors = np.load(folder / "fold_1.npy")
    np.save(folder / "fold_1.npy", vectors[::-1])
    assert leaks(audited(workspace)) == {WINDOW: {"fold_1.npy of the text fold"}}


def test_labels_of_another_time_are_found(evaluated, monkeypatch):
    window = Pipeline.window

    def longer(pipeline: Pipeline, start: datetime, end: datetime | None) -> object:
        return window(pipeline, start, None if start == WINDOW else end)

    monkeypatch.setattr(Pipeline, "window", longer)
    assert leaks(audited(evaluated.workspace)) == {WINDOW: {"users and labels"}}


# The command


def test_the_command_says_what_it_found_in_a_table_and_in_json_and_names_no_user(evaluated, tmp_path):
    workspace = with_features_anew(evaluated, tmp_path)
    arguments = [
        "leaks",
        "--config",
        str(tmp_path / "recsys.toml"),
        "--rows",
        "40",
        "--json",
        str(tmp_path / "audit.json"),
    ]
    passed = CliRunner().invoke(audit, arguments)
    assert passed.exit_code == 0
    assert "2024-03-18 00:00" in passed.stdout
    assert "leak: " not in passed.output
    assert json.loads((tmp_path / "audit.json").read_text())["findings"] == []
    path = snapshot(workspace, "user_behaviour", "parquet")
    pl.read_parquet(path).with_columns(pl.col("occasions_90d") + 1).write_parquet(path)
    failed = CliRunner().invoke(audit, arguments)
    assert failed.exit_code == 1
    assert "leak: window 2024-03-18T00:00:00+00:00: user_occasions_90d, row " in failed.stderr
    assert "(in 10 of 10 rows)" in failed.stderr
    written = (tmp_path / "audit.json").read_text()
    assert [len(window["differences"]) for window in json.loads(written)["windows"]] == [0, 20, 0, 0]
    assert "user-" not in failed.output + written


def test_the_tables_before_a_moment_keep_the_first_version_of_an_item_that_has_no_earlier():
    day = [datetime(2024, 5, number, tzinfo=UTC) for number in range(1, 5)]
    items = pl.DataFrame(
        {
            "item_id": ["b", "a", "b", "c", "a"],
            "title": list("tuvwx"),
            "updated_at": [day[1], day[3], day[0], None, day[2]],
        }
    )
    assert sorted(items_before(items, day[1])["title"]) == ["v", "w", "x"]
    assert items_before(items.drop("updated_at"), day[1]).height == 5
