from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.errors import DataError
from training.paired import compare, paired_differences, read_users, users_path


def test_a_difference_is_paired_so_that_what_users_have_in_common_does_not_widen_it():
    # Users differ by far more than the models do, and one model is always 0.1 better.
    ours = np.linspace(0.1, 1.0, 50)
    found = paired_differences({"ndcg@10": ours}, {"ndcg@10": ours - 0.1})["ndcg@10"]
    assert found["difference"] == pytest.approx(0.1)
    assert found["ci"] == pytest.approx([0.1, 0.1])
    assert found["ours"] - found["theirs"] == pytest.approx(0.1)
    assert found["p"] == pytest.approx(2 / 10_001)


def test_a_difference_that_is_as_often_up_as_down_is_not_clear():
    ours, theirs = np.tile([0.0, 1.0], 50), np.tile([1.0, 0.0], 50)
    found = paired_differences({"mrr@10": ours}, {"mrr@10": theirs})["mrr@10"]
    assert found["ci"][0] < 0 < found["ci"][1]
    assert found["p"] > 0.5


def test_only_metrics_of_both_are_compared_on_users_who_have_them():
    nan = np.nan
    ours = {"novelty@10": np.array([3.0, 5.0, nan]), "recall@5": np.zeros(3), "diversity@10": np.full(3, nan)}
    theirs = {"novelty@10": np.array([1.0, nan, 9.0]), "map@5": np.zeros(3), "diversity@10": np.zeros(3)}
    found = paired_differences(ours, theirs)
    assert set(found) == {"novelty@10"}
    assert (found["novelty@10"]["ours"], found["novelty@10"]["theirs"]) == (3.0, 1.0)


def report(**changes: Any) -> dict[str, Any]:
    whole = {"dataset": "shop", "test_start": "2024-04-15", "bundle": "b", "users": {"all": 0, "new": 0, "cold": 0}}
    return whole | changes


def users(*rows: tuple[str, float], model: str = "recsys", task: str = "all", to_find: int = 1) -> pl.DataFrame:
    ids, values = zip(*rows, strict=True)
    same = {"task": task, "model": model, "to_find": to_find}
    return pl.DataFrame({"user_id": ids, "ndcg@10": values}).with_columns(
        pl.lit(value).alias(name) for name, value in same.items()
    )


def test_users_who_are_not_in_both_reports_are_counted_and_do_not_count():
    now = users(("u", 0.5), ("v", 0.7), ("w", 1.0))
    then = users(("v", 0.4), ("u", 0.4), ("x", 0.0), ("y", 0.0))
    found = compare(report(), now, report(bundle="a"), then)
    assert found["bundle"] == "a"
    of_all = found["tasks"]["all"]
    assert (of_all["users"], of_all["only_here"], of_all["only_there"], of_all["changed"]) == (2, 1, 2, 0)
    assert of_all["metrics"]["ndcg@10"]["difference"] == pytest.approx((0.1 + 0.3) / 2)


def test_a_user_who_has_other_things_to_find_by_now_does_not_count():
    now = pl.concat([users(("u", 0.5), to_find=3), users(("v", 0.5))])
    found = compare(report(), now, report(), users(("u", 0.1), ("v", 0.4)))["tasks"]["all"]
    assert (found["users"], found["changed"]) == (1, 1)
    assert found["metrics"]["ndcg@10"]["difference"] == pytest.approx(0.1)


def test_of_each_task_the_first_of_ours_that_both_have_is_compared():
    cold = users(("u", 0.5), model="text_model", task="cold")
    now = pl.concat([users(("u", 0.5)), users(("u", 0.9), model="text_model"), cold])
    found = compare(report(), now, report(), now)["tasks"]
    assert {task: one["model"] for task, one in found.items()} == {"all": "recsys", "cold": "text_model"}
    assert found["all"]["metrics"]["ndcg@10"]["p"] == 1.0


def test_reports_of_another_moment_are_refused():
    with pytest.raises(DataError, match="from 2024-04-15 and from 2024-03-01 on; expected the same moment"):
        compare(report(), users(("u", 0.5)), report(test_start="2024-03-01"), users(("u", 0.5)))


def test_reports_without_a_user_in_common_are_refused():
    with pytest.raises(DataError, match="of shop and mine have no user in common"):
        compare(report(), users(("u", 0.5)), report(dataset="mine"), users(("v", 0.5)))


def test_a_report_without_its_users_is_refused_with_the_file_that_is_missing(tmp_path: Path):
    path = tmp_path / "report.json"
    with pytest.raises(DataError, match=r"report\.users\.parquet: .*beside report.json, evaluate again"):
        read_users(path)
    kept = users(("u", 0.5))
    kept.write_parquet(users_path(path))
    assert read_users(path).equals(kept)
