import re

from markupsafe import Markup

from tests.training.test_report import REPORT, slice_figures
from training.report_breakdowns import by_k_lines, calibration_bars, slice_dots, slice_name, waterfall_bars


def spoken(svg: Markup) -> str:
    found = re.search(r'aria-label="([^"]*)"', svg)
    assert found
    return found[1]


def heights(svg: Markup, names: list[str]) -> list[float]:
    """Where the names stand in a plot: from the top."""
    return [float(re.search(rf'y="([\d.]+)"[^>]*>{name}</text>', svg)[1]) for name in names]


def test_the_lines_over_k_are_of_the_models_that_do_the_task():
    assert spoken(by_k_lines(REPORT["by_k"], "all")).endswith("popularity 0.100; recsys 0.440; text_model 0.440")
    assert spoken(by_k_lines(REPORT["by_k"], "cold")).endswith("of each model: text_model 0.150")


def test_the_names_of_lines_that_end_at_one_place_stand_apart_in_the_order_of_the_lines():
    popularity, text, ours = heights(by_k_lines(REPORT["by_k"], "all"), ["popularity", "text_model", "recsys"])
    assert popularity > text + 8 or popularity > ours + 8
    assert abs(text - ours) > 8  # the letters are some 9 high


def test_a_slice_is_named_with_its_users_and_whether_they_are_few():
    parts = REPORT["slices"]["all"]
    assert [slice_name(part) for part in parts] == ["new users · 19, too few", "light users · 270", "Lanterns · 90"]
    assert "light users · 270 0.500 against 0.400 of personal_frequency" in spoken(slice_dots(parts, "ndcg@10"))


def test_slices_with_few_users_are_pale():
    sure = slice_dots([slice_figures("item", "x", 50, ours=0.5, theirs=0.4, p=0.1)], "ndcg@10")
    few = slice_dots([slice_figures("item", "x", 49, ours=0.5, theirs=0.4, p=0.1)], "ndcg@10")
    assert ("opacity: 0.35" in few, "opacity: 0.35" in sure) == (True, False)


def test_the_bins_of_scores_are_named_by_their_share_of_the_candidates():
    assert "best 1% 46.0% of 844; 1% to 100% 2.0% of 83,560" in spoken(calibration_bars(REPORT["calibration"]))


def test_the_waterfall_ends_with_what_all_channels_find():
    assert spoken(waterfall_bars(REPORT["waterfall"])).endswith("text +0.688; ease +0.020; all candidates 0.708")
