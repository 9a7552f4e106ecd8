from dataclasses import replace

import numpy as np

from tests.features.families.cases import CUP, ITEMS, JAM, NEW, NOBODY, TEA, rows_of


def ranks(name: str, rows: list[dict[str, float]]) -> list[float]:
    return [row[name] for row in rows]


def test_a_candidate_ranks_by_how_many_of_the_request_go_with_the_history_more_strongly():
    # Jam 1, cup 0.5, tea 0.125, the new one nothing.
    assert ranks("cooccurrence_rank", rows_of([TEA, NEW, JAM, CUP])) == [2, 3, 0, 1]
    assert ranks("cooccurrence_rank", rows_of([TEA, NEW])) == [0, 1]


def test_equal_ones_share_a_rank():
    assert ranks("cooccurrence_rank", rows_of([TEA, CUP, JAM], user=NOBODY)) == [0, 0, 0]


def test_candidates_rank_by_the_users_of_the_last_28_days_and_of_the_unknown_none_is_known():
    behaviour = ITEMS.behaviour.copy()
    behaviour[JAM, ITEMS.columns.index("users_28d")] = 30
    found = rows_of([CUP, TEA, JAM, NEW], items=replace(ITEMS, behaviour=behaviour))
    assert ranks("popularity_rank", found) == [2, 1, 0, 2]
    assert not np.isnan(ranks("popularity_rank", found)).any()
