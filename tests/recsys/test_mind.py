from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys.errors import DataError
from recsys.importing import import_command, import_tables
from recsys.sources import separated
from recsys.workspace import Workspace
from tests.recsys.project import column, project_of, refusals

NO_ENTITIES = "[]\t[]"
NEWS = (
    'N37378\tsports\tgolf\tPGA Tour winners\tA gallery of recent "winners" on the PGA Tour.\t'
    "https://assets.msn.com/labs/mind/AAjnQjj.html\t"
    '[{"Label": "PGA Tour", "Type": "O", "WikidataId": "Q910409", "Confidence": 1.0, "OccurrenceOffsets": [0], '
    '"SurfaceForms": ["PGA Tour"]}]\t[]'
)
TYPES = "click = { label = true }\nhistory = { weight = 0.5 }"


def news(*ids: str) -> str:
    lines = [f"{item}\tnews\tworld\tTitle {item}\t\thttps://x/{item}.html\t{NO_ENTITIES}" for item in ids]
    return "\n".join([NEWS, *lines, ""])


def behavior(number: int, user: str, time: str, history: str, shown: str) -> str:
    return "\t".join([str(number), user, time, history, shown])


def split(folder: Path, *behaviors: str, told: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "behaviors.tsv").write_text("\n".join([*behaviors, ""]), encoding="utf-8")
    (folder / "news.tsv").write_text(told or news("N1", "N2", "N3", "N4"), encoding="utf-8")
    return folder


def mind(root: Path, folder: str = "MINDsmall_train") -> Workspace:
    return project_of(root, {"format": "mind", "interactions": folder}, types=TYPES)


def test_a_split_is_imported_with_news_impressions_clicks_and_history(tmp_path):
    split(
        tmp_path / "MINDsmall_train",
        behavior(1, "U131", "11/13/2019 8:36:57 AM", "N1 N37378", "N4-1 N3-0 N2-1"),
        behavior(2, "U9", "11/13/2019 12:05:00 PM", "", "N3-0"),
    )
    workspace = mind(tmp_path)
    result = CliRunner().invoke(import_command, ["--config", str(tmp_path / "recsys.toml")])
    assert result.exit_code == 0, result.output
    items = workspace.read_table("items")
    assert items.row(0, named=True) | {"title": ""} == {
        "item_id": "N37378",
        "title": "",
        "description": 'A gallery of recent "winners" on the PGA Tour.',
        "category": "sports",
        "brand": None,
        "price": None,
        "published_at": None,
        "updated_at": None,
        "subcategory": "golf",
        "url": "https://assets.msn.com/labs/mind/AAjnQjj.html",
    }
    impressions = workspace.read_table("impressions")
    assert impressions.select("request_id", "user_id", "items").rows() == [
        ("MINDsmall_train-1", "U131", ["N4", "N3", "N2"]),
        ("MINDsmall_train-2", "U9", ["N3"]),
    ]
    assert column(workspace, "impressions", "timestamp")[1] == datetime(2019, 11, 13, 12, 5, tzinfo=UTC)
    log = workspace.read_table("interactions").select("event_type", "item_id", "timestamp", "request_id")
    assert log.rows() == [
        ("history", "N1", datetime(2019, 11, 13, 8, 36, 55, tzinfo=UTC), None),
        ("history", "N37378", datetime(2019, 11, 13, 8, 36, 56, tzinfo=UTC), None),
        ("click", "N4", datetime(2019, 11, 13, 8, 36, 57, tzinfo=UTC), "MINDsmall_train-1"),
        ("click", "N2", datetime(2019, 11, 13, 8, 36, 57, tzinfo=UTC), "MINDsmall_train-1"),
    ]


def test_the_history_of_a_user_is_taken_once_and_from_the_earliest_impression_wherever_it_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(separated, "BLOCK_BYTES", 32)
    split(
        tmp_path / "MIND" / "MINDsmall_dev",
        behavior(1, "U1", "11/15/2019 7:00:00 AM", "N1 N2 N4", "N3-0"),
        behavior(2, "U1", "11/15/2019 8:00:00 AM", "N1 N2 N4", "N3-0"),
    )
    split(
        tmp_path / "MIND" / "MINDsmall_train",
        behavior(1, "U1", "11/14/2019 8:00:00 AM", "N1 N2", "N4-1"),
        behavior(2, "U1", "11/14/2019 7:00:00 AM", "N1 N2", "N3-0"),
    )
    workspace = mind(tmp_path, "MIND")
    summary = import_tables(workspace)
    log = workspace.read_table("interactions").select("event_type", "item_id", "timestamp")
    assert log.rows() == [
        ("history", "N1", datetime(2019, 11, 14, 6, 59, 58, tzinfo=UTC)),
        ("history", "N2", datetime(2019, 11, 14, 6, 59, 59, tzinfo=UTC)),
        ("click", "N4", datetime(2019, 11, 14, 8, 0, tzinfo=UTC)),
    ]
    assert column(workspace, "impressions", "request_id") == [
        "MINDsmall_train-2",
        "MINDsmall_train-1",
        "MINDsmall_dev-1",
        "MINDsmall_dev-2",
    ]
    # The second folder tells the same five news again.
    assert dict(summary.tables["items"].cleaned) == {"news told before": 5}
    assert summary.tables["items"].refused.total() == 0


def test_broken_lines_are_put_aside_with_their_numbers(tmp_path):
    folder = split(
        tmp_path / "MINDsmall_train",
        behavior(1, "U1", "11/14/2019 8:00:00 AM", "N1", "N4-1"),
        "2\tU1\t11/14/2019 8:00:00 AM\tN4-1",
        behavior(3, "U1", "14.11.2019", "N1", "N4-1"),
        behavior(4, "U1", "11/14/2019 8:00:00 AM", "N1", "N4 N3"),
        behavior(5, "", "11/14/2019 8:00:00 AM", "N1", "N4-1"),
        behavior(1, "U1", "11/14/2019 9:00:00 AM", "N1", "N4-1"),
        behavior(7, "U1", "11/14/2019 9:00:00 AM", "N1", "N99-1"),
        told=news("N1", "N4") + "N5\tnews\n" + f"N4\tnews\tworld\tAgain\t\thttps://x\t{NO_ENTITIES}\n",
    )
    workspace = mind(tmp_path, folder.name)
    import_tables(workspace)
    unlabelled = "candidates do not all end in -0 or -1"
    assert refusals(workspace, "impressions") == [
        (2, "4 fields, expected 5"),
        (3, "unreadable timestamp"),
        (4, unlabelled),
        (5, "missing user_id"),
        (6, "duplicate request_id"),
    ]
    assert refusals(workspace, "interactions") == [
        (2, "4 fields, expected 5"),
        (3, "unreadable timestamp"),
        (4, unlabelled),
        (5, "missing user_id"),
        (6, "duplicate event_id"),
        (7, "unknown item_id"),
    ]
    assert refusals(workspace, "items") == [(4, "2 fields, expected 8"), (5, "duplicate item_id and updated_at")]
    assert column(workspace, "interactions", "event_type") == ["history", "click"]


def test_a_folder_without_the_files_is_an_error_that_names_them(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: found no news\.tsv; expected a folder of MIND"):
        import_tables(mind(tmp_path, "empty"))
