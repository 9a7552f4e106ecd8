"""Tables without forgotten users, and imports that do not bring them back."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from recsys.forgetting.refused import forget_refused, withheld
from recsys.forgetting.register import Register
from recsys.forgetting.tables import BEFORE_ALL, first_seen, forget_tables
from recsys.importing import OF_FORGOTTEN, import_tables
from recsys.workspace import Workspace
from tests.recsys.project import ITEMS, column, interactions, project, quarantined
from tests.stored import files_with

GONE, KEPT = "gone-51bd20c4aa", "kept-7f3a9c51e0"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = [
    f"{GONE},a,view,2024-05-01T11:00:00Z",
    f"{KEPT},a,view,2024-05-01T11:00:00Z",
    f"{GONE},b,purchase,2024-05-01T11:30:00Z",
]
REFUSED = [
    f"{GONE},no-such-item,view,2024-05-01T11:00:00Z",
    f"{KEPT},no-such-item,view,2024-05-01T11:00:00Z",
    f"{GONE},a,view,2024-05-01T11:00:00Z,1,2",
]
SHOWN = (
    "request_id,user_id,timestamp,items\n"
    f'r1,{GONE},2024-05-01T11:00:00Z,"[""a""]"\n'
    f'r2,{KEPT},2024-05-01T11:00:00Z,"[""b""]"\n'
)
USERS = f"user_id,country\n{GONE},NO\n{KEPT},SE\n"


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return project(tmp_path, items=ITEMS, interactions=interactions(*ROWS, *REFUSED), users=USERS)


def stored(workspace: Workspace, user: str) -> set[str]:
    """Where an id stands, but for the files of the source."""
    return {name for name in files_with(workspace.root, user) if "/" in name or "users.parquet" in name}


def test_their_rows_go_from_tables_refused_rows_and_reports(workspace):
    import_tables(workspace)
    pl.DataFrame({"user_id": [GONE, KEPT], "ndcg@10": [0.5, 0.25]}).write_parquet(
        workspace.root / "report.users.parquet"
    )
    places = {
        "tables/interactions.parquet",
        "tables/users.parquet",
        "quarantine/interactions.jsonl",
        "report.users.parquet",
    }
    assert stored(workspace, GONE) == stored(workspace, KEPT) == places
    who = Register(workspace.root).note([GONE], datetime.now(UTC))
    assert forget_tables(workspace, who) == {
        "interactions": 2,
        "impressions": 0,
        "users": 1,
        "refused rows": 2,
        "rows of reports": 1,
    }
    assert (stored(workspace, GONE), stored(workspace, KEPT)) == (set(), places)
    assert column(workspace, "interactions", "user_id") == [KEPT]
    # A line that is no row may be of anybody.
    assert [(row["line"], row["row"] is None) for row in quarantined(workspace, "interactions")] == [
        (5, True),
        (6, False),
        (7, True),
    ]
    assert sum(forget_tables(workspace, who).values()) == 0


def test_an_import_of_the_same_files_brings_nothing_back_and_counts_what_it_left_out(workspace):
    Register(workspace.root).note([GONE], datetime.now(UTC))
    summary = import_tables(workspace)
    assert (stored(workspace, GONE), len(stored(workspace, KEPT))) == (set(), 3)
    counts = summary.tables["interactions"]
    assert (counts.read, counts.kept, counts.cleaned[OF_FORGOTTEN], counts.refused.total()) == (6, 1, 2, 3)
    assert summary.tables["users"].cleaned == {OF_FORGOTTEN: 1}


def test_what_came_after_the_moment_is_of_a_user_who_came_back_and_has_attributes_again(workspace):
    moment = NOON - HOUR / 2
    Register(workspace.root).note([GONE], moment)
    import_tables(workspace)
    assert workspace.read_table("interactions").select("user_id", "item_id").rows() == [(KEPT, "a"), (GONE, "b")]
    assert column(workspace, "users", "user_id") == [GONE, KEPT]
    Register(workspace.root).note([GONE], moment + timedelta(microseconds=1))
    import_tables(workspace)
    assert column(workspace, "interactions", "user_id") == [KEPT]
    assert column(workspace, "users", "user_id") == [KEPT]


def test_impressions_go_as_well_and_the_items_of_a_log_that_has_no_others_are_those_that_are_left(tmp_path):
    workspace = project(tmp_path, interactions=interactions(*ROWS), impressions=SHOWN)
    Register(workspace.root).note([GONE], datetime.now(UTC))
    import_tables(workspace)
    assert column(workspace, "impressions", "user_id") == [KEPT]
    assert column(workspace, "items", "item_id") == ["a"]


def test_the_tables_know_since_when_they_know_a_user(workspace):
    import_tables(workspace)
    register, now = Register(workspace.root), datetime.now(UTC)
    assert first_seen(workspace, register.note(["nobody"], now)) is None
    # Attributes have no time.
    assert first_seen(workspace, register.note([GONE], now)) == BEFORE_ALL
    workspace.table_path("users").unlink()
    assert first_seen(workspace, register.note([GONE], now)) == NOON - HOUR


def test_an_id_is_found_in_whatever_a_refused_row_is_made_of(tmp_path):
    who = Register(tmp_path).note(["17850", "x"], NOON)
    for row in ({"user": 17850}, {"user": 17850.0}, {"a": {"b": [1, {"c": "17850"}]}}, {"user": " x "}, "any line"):
        assert withheld(row, who), row
    for row in ({"user": 1785}, {"user": "xx"}, {"a": None}):
        assert not withheld(row, who), row
    assert forget_refused(tmp_path / "none.jsonl", who) == 0
