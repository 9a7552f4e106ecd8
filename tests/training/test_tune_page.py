import io
import re
from pathlib import Path

from rich.console import Console

from recsys.config import Finetune
from training.tune import Found, Trial
from training.tune_finetune import SEARCHED
from training.tune_page import print_found, write_page

SETTINGS = {"learning_rate": 4e-4, "temperature": 15.0, "history_items": 40, "anchor": 0.5}
FOUND = Found(
    "A shop & sons",
    SEARCHED,
    Finetune(method="lora"),
    [
        Trial(1, SETTINGS, 1.1, False),
        Trial(2, SETTINGS | {"learning_rate": 1e-3}, 1.25, False),
        Trial(3, SETTINGS | {"anchor": 1.5}, 0.9, True),
    ],
)


def test_the_table_has_the_best_first_and_the_section_stands_below():
    console = Console(width=80, record=True, file=io.StringIO())
    print_found(FOUND, console=console)
    text = console.export_text()
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["2", "1", "3"]
    assert [row.split("│")[2].strip() for row in rows] == ["1.250", "1.100", "0.900 (ended)"]
    assert "…" not in text
    assert "layers" not in text  # with lora there are none to choose
    assert '[finetune]\nmethod = "lora"\nlearning_rate = 0.001\n' in text


def test_the_page_has_every_trial_and_two_plots_and_fetches_nothing(tmp_path: Path):
    write_page(FOUND, tmp_path / "tuning.html")
    html = (tmp_path / "tuning.html").read_text("utf-8")
    assert "A shop &amp; sons: trial 2 of 3 reaches 1.250 × the pretrained model" in html
    assert html.count("<tr>") == 4
    assert html.count('role="img" aria-label=') == 2
    assert "trial 1 1.100; trial 2 1.250; trial 3 0.900" in html
    assert not re.search(r"@import|url\((?!#)|<script|\bsrc=", html)
    # Colours come from the page, light or dark.
    assert set(re.findall(r"#0[0-9]0[0-9]0[0-9]", html)) == set()
    assert "prefers-color-scheme: dark" in html


def test_one_trial_is_enough_for_a_page(tmp_path: Path):
    write_page(Found("shop", SEARCHED, Finetune(), FOUND.trials[:1]), tmp_path / "tuning.html")
    assert "trial 1 of 1" in (tmp_path / "tuning.html").read_text("utf-8")
