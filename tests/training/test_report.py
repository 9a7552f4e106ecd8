import copy
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recsys.errors import DataError
from training.report import print_comparison, print_table, read_report, write_report
from training.report_page import render_page, verdicts


def metrics(ndcg: float) -> dict[str, Any]:
    """Made-up numbers: recall@100 is twice the ndcg@10, every interval 0.02 wide."""
    means = {"recall@10": ndcg / 2, "recall@20": ndcg, "recall@100": 2 * ndcg, "ndcg@10": ndcg}
    return means | {f"{name}_ci": [mean - 0.01, mean + 0.01] for name, mean in means.items()}


def difference(ours: float, theirs: float, *, p: float) -> dict[str, Any]:
    """Made-up numbers: the interval is 0.04 wide."""
    middle = ours - theirs
    return {"ours": ours, "theirs": theirs, "difference": middle, "ci": [middle - 0.02, middle + 0.02], "p": p}


def curves(last: float) -> dict[str, list[float]]:
    return {"recall": [last / 4, last / 2, last], "ndcg": [last, last / 2, last]}


def slice_figures(by: str, name: str, users: int, *, ours: float, theirs: float, p: float) -> dict[str, Any]:
    models = {"recsys": metrics(ours), "personal_frequency": metrics(theirs)}
    same = {"by": by, "name": name, "detail": f"{name} in words", "model": "recsys", "baseline": "personal_frequency"}
    figures = {"users": users, "few": users < 50, "models": models}
    return {**same, **figures, "paired": {"ndcg@10": difference(ours, theirs, p=p)}}


REPORT: dict[str, Any] = {
    "dataset": "A shop & sons",
    "test_start": "2011-11-25T00:00:00+00:00",
    "users": {"all": 819, "new": 733, "cold": 461},
    "models": {
        "popularity": {"all": metrics(0.1), "new": metrics(0.06), "cold": None},
        "personal_frequency": {"all": metrics(0.4), "new": None, "cold": None},
        "ease": {"all": metrics(0.2), "new": metrics(0.07), "cold": None},
        "zero_shot_text": {"all": metrics(0.15), "new": metrics(0.08), "cold": metrics(0.12)},
        "text_model": {"all": metrics(0.18), "new": metrics(0.09), "cold": metrics(0.15)},
        "recsys_no_text": {"all": metrics(0.38), "new": metrics(0.085), "cold": None},
        "recsys": {"all": metrics(0.44), "new": metrics(0.06), "cold": None},
    },
    "bundle": "20111125-7f3a91",
    "seconds": {"finetune": 148.3, "ranker": 61.5},
    "peak_memory_mb": 2411.7,
    "curves": {
        "text": [
            {"step": 0, "loss": None, "validation_ndcg@10": 0.07, "held_out_ndcg@10": 0.12},
            {"step": 100, "loss": 2.5, "validation_ndcg@10": 0.1, "held_out_ndcg@10": 0.13},
        ]
    },
    "importance": {f"feature_{number:02}": float(number) for number in range(25)},
    "channels": {"text": {"recall": 0.688, "alone": 0.06}, "ease": {"recall": 0.658, "alone": 0.02}},
    "paired": {
        "all": {
            "model": "recsys",
            "baseline": "personal_frequency",
            "metrics": {"ndcg@10": difference(0.44, 0.4, p=0.0002)},
        },
        "cold": {
            "model": "text_model",
            "baseline": "zero_shot_text",
            "metrics": {"ndcg@10": difference(0.15, 0.12, p=0.3)},
        },
    },
    "by_k": {
        "k": [1, 10, 100],
        "models": {
            "popularity": {"all": curves(0.1), "new": curves(0.06), "cold": None},
            "recsys": {"all": curves(0.44), "new": curves(0.06), "cold": None},
            "text_model": {"all": curves(0.44), "new": curves(0.06), "cold": curves(0.15)},
        },
    },
    "slices": {
        "all": [
            slice_figures("history", "new users", 19, ours=0.06, theirs=0.09, p=0.01),
            slice_figures("history", "light users", 270, ours=0.5, theirs=0.4, p=0.001),
            slice_figures("category", "Lanterns", 90, ours=0.5, theirs=0.49, p=0.6),
        ],
        "new": [],
    },
    "calibration": [
        {"from": 0.0, "to": 0.01, "candidates": 844, "scores": [2.0, 3.0], "rate": 0.46, "rate_ci": [0.41, 0.5]},
        {"from": 0.01, "to": 1.0, "candidates": 83560, "scores": [-2.8, 2.0], "rate": 0.02, "rate_ci": [0.01, 0.03]},
    ],
    "waterfall": [{"channel": "text", "adds": 0.688}, {"channel": "ease", "adds": 0.02}],
    "candidates": {
        "all": {"candidates": 400, "recall": 0.74, "recall@300": 0.7, "channels": {"text": {"recall": 1, "alone": 0}}},
        "new": None,
    },
    "note": "further keys are kept",
}


def changed(*path: str, to: object) -> dict[str, Any]:
    report = copy.deepcopy(REPORT)
    place = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return report


class Page(HTMLParser):
    """The tags that are still open, the addresses that the page would fetch, and its text outside style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        wanted = [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")]
        self.fetched += [address for address in wanted if not address.startswith("#")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += " " + " ".join(data.split())


def test_report_json_is_the_report_with_every_further_key(tmp_path: Path):
    write_report(REPORT, tmp_path / "out" / "report.json", tmp_path / "out" / "report.html")
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == REPORT
    assert read_report(tmp_path / "out" / "report.json") == REPORT


def test_the_page_is_well_formed_and_fetches_nothing():
    html = render_page(REPORT)
    page = Page(html)
    assert page.open == []
    assert page.fetched == []
    assert not re.search(r"@import|url\((?!#)|<script", html)


def test_the_page_names_every_model_task_channel_stage_and_the_20_strongest_features():
    text = Page(render_page(REPORT)).text
    for word in [*REPORT["models"], *REPORT["channels"], *REPORT["seconds"], "New to the user", "A shop & sons"]:
        assert word in text
    assert "feature_05" in text
    assert "feature_04" not in text


def test_the_best_value_of_a_column_is_bold_and_its_interval_stands_below():
    html = render_page(REPORT)
    assert re.search(r'<td class="group best" title="recsys, ndcg@10[^"]*">0\.440<small>\.430–\.450</small>', html)
    assert html.count('<td class="group best"') == 3  # one ndcg@10 a task


def test_colours_come_from_the_page_so_that_plots_follow_light_and_dark():
    html = render_page(REPORT)
    svgs = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    # Three tasks, three over k, slices of one, curves, importance, calibration, channels, waterfall.
    assert len(svgs) == 12
    assert all(set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#ffffff"} for svg in svgs)
    assert all('role="img" aria-label=' in svg for svg in svgs)


def test_the_same_report_gives_the_same_page():
    assert render_page(REPORT) == render_page(copy.deepcopy(REPORT))


def test_sections_without_numbers_are_left_out():
    parts = ("curves", "importance", "channels", "paired", "by_k", "slices", "calibration", "waterfall")
    report = {key: value for key, value in REPORT.items() if key not in parts}
    html = render_page(report)
    for heading in ("How far down the list", "For whom and for what", "Whether a higher score", "One after another"):
        assert heading in Page(render_page(REPORT)).text
        assert heading not in html
    assert "Training of the" not in html
    assert "What the ranker looks at" not in html
    assert "Where candidates come from" not in html


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (True, "380 trees and of a network, added: both together ordered the latest window before the cut better than"),
        (False, "Its score is that of 380 trees alone, without a network."),
    ],
)
def test_the_page_says_whether_a_network_scores_beside_the_trees(network, said):
    html = render_page(changed("ranker", to={"trees": 380, "network": network}))
    assert said in " ".join(Page(html).text.split())
    assert "without a network" not in Page(render_page(REPORT)).text


def test_a_name_with_markup_is_shown_as_text():
    html = render_page(changed("models", "<b>&", to={"all": metrics(0.3), "new": None, "cold": None}))
    assert "<b>&<" not in html
    assert Page(html).open == []


def test_the_headline_compares_with_the_best_baseline_of_each_task_and_says_when_it_is_worse():
    sentences = {verdict.task: (verdict.model, verdict.sentence.replace("\xa0", " ")) for verdict in verdicts(REPORT)}
    assert sentences == {
        "all": ("recsys", "10 % better than personal_frequency"),
        "new": ("recsys", "25 % worse than zero_shot_text"),
        "cold": ("text_model", "25 % better than zero_shot_text"),
    }


def test_a_difference_that_may_be_chance_is_neither_green_nor_red():
    html = render_page(REPORT)
    assert re.search(r'<p class="better">10.% better than personal_frequency', html)
    assert "+0.040 on the same users, 95 % interval +0.020 to +0.060 (p &lt; 0.001)</p>" in html
    assert re.search(r'<p class="">25.% better than zero_shot_text', html)
    assert "(p = 0.300): it may be chance" in html


def test_a_slice_with_few_users_and_one_that_is_not_clear_say_so_instead_of_a_difference_in_colour():
    html = render_page(REPORT)
    found = re.findall(r'<th scope="row">([^<]+)</th>(<td class="words">.*?)</tr>', html, re.DOTALL)
    rows = {name: " ".join(re.sub(r"<[^>]+>", " ", row).split()) for name, row in found}
    assert "19 0.060 .050–.070 0.090 .080–.100 too few users against personal_frequency" in rows["new users"]
    assert "+0.100 against personal_frequency" in rows["light users"]
    assert "+0.010, not clear against personal_frequency" in rows["Lanterns"]
    assert '<td class="words better">+0.100' in html


def test_further_metrics_have_a_table_a_task_and_an_explanation():
    report = copy.deepcopy(REPORT)
    report["models"]["recsys"]["all"] |= {"mrr@5": 0.6, "mrr@5_ci": [0.5, 0.7], "coverage@5": 0.25}
    text = Page(render_page(report)).text
    assert "0.600 0.500–0.700" in text
    assert "0.250" in text
    assert "1 divided by the rank of the first find, 0 when there is none among the first 5" in text


def test_another_configured_k_is_shown_in_place_of_the_usual_ones():
    row = {"ndcg@5": 0.25, "ndcg@20": 0.3, "recall@3": 0.125, "recall@50": 0.75}
    row |= {f"{name}_ci": [value, value] for name, value in row.items()}
    report = changed("models", to={"recsys": {"all": row, "new": None, "cold": None}})
    for part in ("paired", "slices"):
        del report[part]
    assert "looks at the first 5 places" in Page(render_page(report)).text
    console = Console(width=80, record=True, file=io.StringIO())
    print_table(report, console=console)
    assert re.search(r"ndcg@5 . recall@50", console.export_text())


def test_a_task_that_no_baseline_does_has_no_comparison():
    report = changed("models", to={"recsys": {"all": metrics(0.4), "new": None, "cold": None}})
    del report["by_k"]
    assert [verdict.sentence for verdict in verdicts(report)] == ["no baseline does this task"]
    assert Page(render_page(report)).open == []


def test_the_table_fits_80_columns_and_shows_a_dash_where_a_model_cannot_do_a_task():
    console = Console(width=80, record=True, file=io.StringIO())
    print_table(REPORT, console=console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    cells = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]] for line in lines if "│" in line
    }
    assert cells["personal_frequency"] == ["0.400", "0.800", "–", "–", "–"]
    assert cells["recsys"] == ["0.440", "0.880", "0.060", "0.120", "–"]
    assert cells["text_model"] == ["0.180", "0.360", "0.090", "0.180", "0.150"]
    assert list(cells) == list(REPORT["models"])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("models", "ease", "all", "ndcg@10"), 1.2, r"<= 1.0 - at `\$.models.ease.all.ndcg@10`"),
        (("models", "ease", "all", "ndcg@10"), float("nan"), r"ndcg@10"),
        (("models", "ease", "all", "ndcg@10_ci"), [0.1], r"of length 2, got 1 - at `\$.models.ease.all.ndcg@10_ci`"),
        (("models", "ease", "all", "mrr@10"), -0.1, r">= 0.0 - at `\$.models.ease.all.mrr@10`"),
        (("models", "ease", "all"), {"ndcg@10": 0.2}, r"\['ndcg@10_ci', 'recall@10'.* missing at `\$.models.ease.all`"),
        (
            ("models", "popularity", "all"),
            {"mrr@10": 0.2},
            r"no model has an ndcg@k and a recall@k, found \['mrr@10'\]",
        ),
        (("paired", "all", "metrics", "ndcg@10", "p"), 2.0, r"<= 1.0 - at `\$.paired"),
        (("models",), {}, r"length >= 1 - at `\$.models`"),
        (("seconds", "ranker"), None, r"seconds"),
        (("candidates", "all", "recall@300"), 2, r"<= 1.0 - at `\$.candidates.all.recall@300`"),
        (("candidates", "new"), {"candidates": 400}, r"missing required field `recall` - at `\$.candidates.new`"),
    ],
)
def test_a_report_that_is_none_is_refused_with_the_place_in_it(path, value, message, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        write_report(changed(*path, to=value), tmp_path / "report.json", tmp_path / "report.html")
    assert not (tmp_path / "report.json").exists()


def test_a_missing_or_broken_report_json_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"nowhere.json: No such file or directory; write one with `recsys evaluate`"):
        read_report(tmp_path / "nowhere.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken.json: Input data was truncated"):
        read_report(tmp_path / "broken.json")


COMPARISON: dict[str, Any] = {
    "bundle": "20111125-earlier",
    "dataset": "A shop & sons",
    "tasks": {
        "all": {
            "model": "recsys",
            "users": 800,
            "only_here": 19,
            "only_there": 3,
            "changed": 2,
            "metrics": {
                "ndcg@10": difference(0.44, 0.4, p=0.0002),
                "recall@100": difference(0.5, 0.51, p=0.2),
                "novelty@10": difference(4.0, 3.0, p=0.001),
            },
        }
    },
}


def test_a_comparison_is_a_section_that_says_what_is_clear_and_who_is_left_out():
    html = render_page(REPORT | {"comparison": COMPARISON})
    page = Page(html)
    assert page.open == []
    assert "What has changed from 20111125-earlier to 20111125-7f3a91" in page.text
    assert "800 users in both; 19 only in this report; 3 only in the earlier one; 2 left out" in page.text
    assert "ndcg@10 0.4000 0.4400 +0.0400 +0.0200 to +0.0600 0.0002 higher" in page.text
    assert "recall@100 0.5100 0.5000 -0.0100 -0.0300 to +0.0100 0.2000 not clear" in page.text
    assert '<td class="words better">higher' in html
    assert '<td class="words">higher' in html  # more novelty is not always better
    assert "Against an earlier report" not in render_page(REPORT)


def test_the_comparison_in_the_terminal_fits_80_columns():
    console = Console(width=80, record=True, file=io.StringIO())
    print_comparison(REPORT | {"comparison": COMPARISON}, console=console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "recsys on all, since 20111125-earlier" in text
    assert re.search(r"ndcg@10 +│ 0\.4000 │ 0\.4400 │ +\+0\.0400 │ \+0\.0200 to \+0\.0600 │ 0\.0002", text)
    assert "800 users in both; 19 only now; 3 only then; 2 left out" in text
