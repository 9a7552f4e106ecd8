from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.drift import Span
from recsys.workspace import Workspace
from tests.training.project import at, config_of
from training.drift.logged import as_served, logged_lists


class FirstColumn:
    """Ranks by the first feature."""

    def predict(self, data: np.ndarray, **options: Any) -> np.ndarray:
        return data[:, 0].astype(np.float64)


def export(root: Path, day: float, *rows: tuple[str, str, list[str] | None]) -> None:
    """A file as `recsys export` writes it, of (request, bundle, candidates) with features (place, 1) or none."""
    folder = root / "log" / "impressions" / f"day={at(day):%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "request_id": [row[0] for row in rows],
        "timestamp": [at(day)] * len(rows),
        "bundle": [row[1] for row in rows],
        "candidates": [row[2] for row in rows],
        "features": [None if row[2] is None else [[float(place), 1.0] for place in range(len(row[2]))] for row in rows],
    }
    schema = {"candidates": pl.List(pl.String), "features": pl.List(pl.List(pl.Float32))}
    pl.DataFrame(columns, schema_overrides={"timestamp": pl.Datetime("us", "UTC"), **schema}).write_parquet(
        folder / f"{rows[0][0]}.parquet"
    )


def test_lists_of_a_bundle_and_a_time_are_read_where_they_were_logged_with_features(tmp_path):
    export(tmp_path, 1.5, ("early", "made", ["a"]))
    export(tmp_path, 2.5, ("r2", "made", ["b", "c"]), ("r1", "made", ["a"]))
    export(tmp_path, 2.5, ("other", "old", ["a"]), ("not sampled", "made", None))
    export(tmp_path, 4.0, ("late", "made", ["a"]))
    workspace = Workspace(tmp_path, config_of())
    rows = logged_lists(workspace, "made", Span(at(2), at(4)))
    assert rows["request_id"].to_list() == ["r1", "r2"]
    assert rows["candidates"].to_list() == [["a"], ["b", "c"]]
    assert len(logged_lists(workspace, "made", Span(at(10), at(11) + timedelta(hours=1)))) == 0


def test_each_candidate_of_a_list_is_a_row_with_its_score_and_the_lists_are_in_two_times(tmp_path):
    export(tmp_path, 2.5, ("r1", "made", ["a", "b"]), ("r2", "made", ["b"]))
    rows = logged_lists(Workspace(tmp_path, config_of()), "made", Span(at(2), at(3)))
    served = as_served(rows, FirstColumn(), columns=2, most=400)
    assert served.matrix.tolist() == [[0, 1], [1, 1], [0, 1]]
    assert served.scores.tolist() == [0, 1, 0]
    assert (served.lists.tolist(), served.parts.tolist()) == ([0, 0, 1], [0, 0, 1])
    assert (served.count, served.independent) == (2, 2)
    assert served.keys is not None
    assert served.keys.rows() == [("r1", "a"), ("r1", "b"), ("r2", "b")]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_lists_are_drawn_than_asked_for(tmp_path, most):
    export(tmp_path, 2.5, *((f"r{at}", "made", ["a"]) for at in range(9)))
    rows = logged_lists(Workspace(tmp_path, config_of()), "made", Span(at(2), at(3)))
    assert as_served(rows, FirstColumn(), columns=2, most=most).count == most
    assert as_served(rows[:0], FirstColumn(), columns=2, most=most).count == 0
