from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.store import BehaviourStore
from recsys.workspace import Workspace
from tests.training.conftest import Evaluated, copy_of
from training import window_rows as module
from training.kept_rows import KeptRows
from training.pipeline import Pipeline
from training.ranker_rows import RankerRows

CUT = datetime(2024, 4, 15, tzinfo=UTC)
ROWS = RankerRows(np.ones((3, 2), np.float32), np.array([0, 1, 0], np.int32), np.array([2, 1]))


@pytest.fixture
def workspace(evaluated: Evaluated, tmp_path) -> Workspace:
    return copy_of(evaluated, tmp_path)


def made(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> tuple[Pipeline, list[RankerRows], list]:
    """The pipeline, its rows, and the beginnings of the windows that were made."""
    starts, make = [], module.ranker_rows

    def noted(recommender, window, **settings):
        starts.append(window.start)
        return make(recommender, window, **settings)

    pipeline = Pipeline(workspace, cut=CUT)
    pipeline.compute_features()
    with monkeypatch.context() as watched:
        watched.setattr(module, "ranker_rows", noted)
        return pipeline, pipeline.ranker_parts(with_text=False), starts


def with_another(workspace: Workspace, **columns: object) -> None:
    """One more interaction like one that there is."""
    path = workspace.table_path("interactions")
    rows = pl.read_parquet(path)
    [row] = rows.filter(pl.col("timestamp") < CUT).tail(1).to_dicts()
    more = pl.DataFrame([row | columns], schema=rows.schema)
    pl.concat([rows, more]).sort("timestamp", maintain_order=True).write_parquet(path)


def same(one: RankerRows, other: RankerRows) -> bool:
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("matrix", "gains", "groups"))


def test_what_came_after_all_windows_has_none_made_again(workspace, monkeypatch):
    with_another(workspace, timestamp=CUT + timedelta(days=1))
    assert made(workspace, monkeypatch)[2] == []


def test_a_late_interaction_has_its_window_made_again_and_those_after_it(workspace, monkeypatch):
    before = Pipeline(workspace, cut=CUT).ranker_parts(with_text=False)
    with_another(workspace, timestamp=CUT - timedelta(days=20))  # in the second of three windows of two weeks
    pipeline, parts, starts = made(workspace, monkeypatch)
    assert starts == pipeline.windows[1:]
    assert [same(*both) for both in zip(before, parts, strict=True)] == [True, False, False]
    for path in (workspace.cache / "ranker_rows").iterdir():
        path.unlink()
    _, anew, starts = made(workspace, monkeypatch)
    assert starts == pipeline.windows
    assert all(same(*both) for both in zip(parts, anew, strict=True))


def test_an_item_with_another_text_has_all_windows_made_again_and_a_new_one_none(workspace, monkeypatch):
    path = workspace.table_path("items")
    items = pl.read_parquet(path)
    came = items.head(1).with_columns(item_id=pl.lit("zzz-new"))
    pl.concat([items, came]).write_parquet(path)
    assert made(workspace, monkeypatch)[2] == []
    items.with_columns(title=pl.concat_str("title", pl.lit(" of tin"))).write_parquet(path)
    pipeline, _, starts = made(workspace, monkeypatch)
    assert starts == pipeline.windows


def test_rows_come_back_as_they_were_and_those_of_long_ago_go(tmp_path):
    kept = KeptRows(tmp_path, most=2)
    placed = RankerRows(ROWS.matrix, ROWS.gains, ROWS.groups, np.array([1, 2, 0], np.int32))
    for key, rows in (("a", ROWS), ("b", placed), ("c", None)):
        for make in (lambda rows=rows: rows, None):
            found = kept.get(key, make)
            assert found is None if rows is None else same(found, rows)
    np.testing.assert_array_equal(kept.get("b", None).places, placed.places)
    kept.get("a", None)
    kept.drop_oldest()
    assert sorted(path.name for path in (tmp_path / "ranker_rows").iterdir()) == ["a.npz", "b.npz"]
    # What was killed while it wrote leaves nothing behind.
    (tmp_path / "ranker_rows" / "d.tmp").touch()
    kept.get("d", lambda: ROWS)
    assert sorted(path.name for path in (tmp_path / "ranker_rows").iterdir()) == ["a.npz", "b.npz", "d.npz"]


def test_what_was_known_is_looked_at_once(workspace, monkeypatch):
    asked, look = [], BehaviourStore.forget_other_data

    def noted(store, interactions, catalogue, moments, **tables):
        asked.append(list(moments))
        return look(store, interactions, catalogue, moments, **tables)

    monkeypatch.setattr(BehaviourStore, "forget_other_data", noted)
    pipeline = Pipeline(workspace, cut=CUT)
    for _ in range(2):
        pipeline.compute_features()
        pipeline.ranker_parts(with_text=False)
    assert asked == [[*pipeline.windows, CUT, pipeline.end]]
    pipeline.compute_features_at([CUT - timedelta(days=1)])
    assert len(asked) == 2
