from benchmarks.offline_cases import differences, random_case
from tests.benchmarks.quick import quick


def test_both_stores_join_and_agree(tmp_path):
    details = quick("offline_features", tmp_path)
    assert details["mismatches"] == 0
    assert details["cases"] == 3
    for found in details["joined"].values():
        assert found["seconds"] > 0
        assert found["peak_mb"] >= 0


def test_a_value_that_differs_is_a_difference_whatever_the_order_of_the_rows(tmp_path):
    case = random_case(tmp_path, 0)
    answer = case.entity_df.assign(found=range(len(case.entity_df)))
    assert differences(answer, answer[::-1], case) == []
    assert differences(answer, answer.assign(found=answer["found"].where(answer["row"] != 1)), case) == ["found"]
    assert differences(answer, answer[1:], case)
    assert differences(answer, answer.drop(columns="found"), case)
