import copy
from typing import Any

import pytest

from recsys.errors import DataError
from tests.training.test_report import REPORT, Page
from training.report import validate_report
from training.report_page import render_page
from training.report_text import text_in_words

TEXT: dict[str, Any] = {
    "uses_pretrained": False,
    "validation": {"pretrained": {"unseen": 0.1, "asked": 0.3}, "finetuned": {"unseen": 0.125, "asked": 0.31}},
    "texts": {"items": 3711, "empty": 2, "cut": 17},
    "tower": {
        "click": {"age_power": 0.0, "occasions_power": 1.0, "type_weight": {"click": 1.5}, "query_share": 0.75},
        # (1 + 30 / 7) ** -1 = 0.19; 2 ** 0.5 = 1.41
        "purchase": {"age_power": 1.0, "occasions_power": 0.5, "type_weight": {"click": 0.25}, "query_share": 0.5},
    },
    "encoders": {
        "fp32": {"difference": 1e-6, "fused": True, "bytes": 90_000_000},
        "fp16": {"kept": True, "ndcg_change": -0.0012, "bytes": 45_000_000},
        "int8": {"kept": False, "ndcg_change": -0.02, "reason": "ndcg@10 changes by -2.0%, expected at least -1%"},
    },
}


def test_the_report_says_which_model_serves_with_both_validation_figures():
    found = text_in_words(TEXT)
    assert (found.choice, found.why) == (
        "The fine-tuned model serves:",
        "on validation it ranks better than the pretrained one.",
    )
    assert found.validation == [("for the first time", 0.1, 0.125), ("after typing a query", 0.3, 0.31)]


@pytest.mark.parametrize(
    ("validation", "why"), [(TEXT["validation"], "nothing better on validation"), ({}, "too little to learn from")]
)
def test_when_the_pretrained_model_serves_the_report_says_why(validation, why):
    found = text_in_words({**TEXT, "uses_pretrained": True, "validation": validation})
    assert found.choice == "The pretrained model serves:"
    assert why in found.why


def test_what_the_user_tower_learned_is_said_for_each_label():
    click, purchase = text_in_words(TEXT).facts[1:3]
    assert click.startswith("For click, something chosen a month ago weighs 1.00 times what was chosen just now")
    assert "two occasions 2.00 times" in click
    assert "a month ago weighs 0.19 times" in purchase
    assert "two occasions 1.41 times" in purchase
    assert "By type: click 0.25." in purchase
    assert "50% of the say" in purchase


def test_empty_and_cut_texts_are_counted_and_each_precision_has_its_change_of_ndcg():
    counts, *_, fp32, fp16, int8 = text_in_words(TEXT).facts
    assert counts.startswith("Of 3,711 items 2 had no text, and 17 had a longer one")
    assert fp32 == "The encoder in fp32 differs from torch by at most 1e-06, 90.0 MB."
    assert fp16 == "The encoder in fp16 changes ndcg@10 by -0.12%, 45.0 MB."
    assert int8 == "The encoder in int8 was not kept: ndcg@10 changes by -2.0%, expected at least -1%."


def test_the_page_has_a_section_on_the_text_model_and_a_third_curve_only_where_there_are_queries():
    page = Page(render_page({**REPORT, "text": TEXT}))
    assert page.open == []
    assert "The fine-tuned model serves: on validation it ranks better" in " ".join(page.text.split())
    assert "after typing a query 0.300 0.310" in " ".join(page.text.split())
    assert "on what was chosen after typing a query" not in page.text
    asked = copy.deepcopy(REPORT)
    for point in asked["curves"]["text"]:
        point["asked_ndcg@10"] = 0.2
    assert "on what was chosen after typing a query" in Page(render_page(asked)).text
    assert "The fine-tuned model serves" not in render_page(REPORT)


def test_a_text_section_that_is_none_is_refused_with_the_place_in_it():
    with pytest.raises(DataError, match=r"texts\.empty"):
        validate_report({**REPORT, "text": {**TEXT, "texts": {"items": 3, "empty": -1, "cut": 0}}})
    validate_report({**REPORT, "text": TEXT})
