import numpy as np
import pytest

from recsys.config import Evaluation
from tests.training.cases import case_of
from training.tally import Tally
from training.yardstick import Yardstick

AT = Evaluation(recall_at=(2,), ndcg_at=(2,), mrr_at=(), map_at=(), hit_rate_at=(2,), coverage_at=(), novelty_at=())
RIGHT, LATE, WRONG = np.array([0, 1]), np.array([1, 0]), np.array([4, 5])


@pytest.fixture
def tally() -> Tally:
    tasks = {"all": [case_of("u", 0), case_of("v", 0)], "new": [case_of("v", 0)], "cold": []}
    return Tally(Yardstick(AT, np.zeros(6), np.eye(6)), tasks)


def test_a_model_that_cannot_do_a_task_and_a_task_without_users_have_no_figures(tally: Tally):
    for task, top in (("all", [RIGHT, WRONG]), ("new", None), ("cold", [])):
        tally.add("popularity", task, top)
    assert tally.models["popularity"]["all"]["recall@2"] == 0.5
    assert tally.models["popularity"]["new"] is None
    assert tally.models["popularity"]["cold"] is None
    assert tally.by_k()["models"]["popularity"]["new"] is None


def test_the_rivals_of_a_task_are_the_engine_and_the_baseline_of_the_highest_ndcg(tally: Tally):
    tally.add("popularity", "all", [LATE, WRONG])
    tally.add("ease", "all", [RIGHT, WRONG])
    tally.add("personal_frequency", "all", [RIGHT, WRONG])  # of equal ones the first stays
    tally.add("recsys", "all", [LATE, WRONG])
    tally.add("text_model", "all", [RIGHT, RIGHT])
    tally.add("recsys_no_text", "all", [RIGHT, RIGHT])
    ours, baseline = tally.rivals("all")
    assert (ours.model, baseline.model) == ("recsys", "ease")
    assert tally.paired()["all"]["baseline"] == "ease"
    assert tally.paired()["all"]["metrics"]["hit_rate@2"]["difference"] == 0.0


def test_without_a_baseline_or_without_ours_there_are_no_rivals(tally: Tally):
    tally.add("recsys", "all", [RIGHT, RIGHT])
    tally.add("popularity", "new", [RIGHT])
    assert tally.rivals("all") is None
    assert tally.rivals("new") is None
    assert tally.paired() == {}


def test_the_text_model_stands_for_us_where_the_ranker_does_not_go(tally: Tally):
    tally.add("popularity", "new", [WRONG])
    tally.add("text_model", "new", [RIGHT])
    tally.add("recsys", "new", None)
    assert tally.rivals("new")[0].model == "text_model"


def test_the_values_of_each_user_are_kept_one_row_a_user_model_and_task(tally: Tally):
    tally.add("ease", "all", [RIGHT, WRONG])
    tally.add("recsys", "new", [WRONG])
    rows = tally.users().select("task", "model", "user_id", "to_find", "hit_rate@2").rows()
    assert rows == [("all", "ease", "u", 1, 1.0), ("all", "ease", "v", 1, 0.0), ("new", "recsys", "v", 1, 0.0)]
