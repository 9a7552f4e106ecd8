import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from training.replay_page import COLUMNS, print_replay, write_replay


def model_of(value: float) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, value) | {"ndcg@10_ci": [value - 0.01, value + 0.01]}


REPORT: dict[str, Any] = {
    "dataset": "a shop of many names",
    "test_start": "2024-04-15T00:00:00+00:00",
    "impressions": {"all": 100, "measured": 40, "asked": 3, "none_chosen": 50, "all_chosen": 7},
    "users": {"all": 20, "without_history": 5},
    "items": {"shown": 400, "chosen": 50},
    "models": {"shown_order": model_of(0.5), "recsys_no_text": model_of(0.71234), "recsys": model_of(0.7)},
}


def test_the_table_fits_80_columns_and_says_what_was_left_out():
    console = Console(width=80, record=True, file=io.StringIO())
    print_replay(REPORT, console=console)
    text = console.export_text()
    assert "…" not in text
    row = next(line for line in text.splitlines() if line.strip().startswith("recsys_no_text")).split()
    assert row == ["recsys_no_text", *[".712"] * 6, ".702-.722", *[".712"] * 2]
    words = " ".join(text.split())
    assert "a shop of many names, 40 impressions from 2024-04-15 on, 50 of 400 items chosen" in words
    assert "of 20 users, 5 without a history; left out: of 50 impressions nothing was chosen, of 7 everything" in words


def test_the_best_of_each_metric_is_bold():
    console = Console(width=80, force_terminal=True, file=io.StringIO())
    print_replay(REPORT, console=console)
    assert isinstance(console.file, io.StringIO)
    bold = [line for line in console.file.getvalue().splitlines() if "\x1b[1m.712" in line]
    assert len(bold) == 1
    assert "recsys_no_text" in bold[0]


def test_the_report_is_written_as_json(tmp_path: Path):
    write_replay(REPORT, tmp_path / "new" / "replay.json")
    assert json.loads((tmp_path / "new" / "replay.json").read_text()) == REPORT
