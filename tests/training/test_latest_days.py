from datetime import timedelta

import polars as pl
import pytest

from recsys.config import Checks
from tests.training.project import at
from training.latest_days import Latest, repeated_share

CHECKS = Checks(days=7, periods=3, enough_rows=10)
END = at(28)


def log(*, a_day: int = 20, days: int = 28) -> pl.DataFrame:
    """So many events on each day, of as many users and items; every fifth is a purchase."""
    rows = [(day, nth) for day in range(days) for nth in range(a_day)]
    return pl.DataFrame(
        {
            "user_id": [f"u{nth}" for _, nth in rows],
            "item_id": [f"i{nth}" for _, nth in rows],
            "event_type": ["purchase" if nth % 5 == 0 else "view" for _, nth in rows],
            "timestamp": [at(day + (nth + 1) / a_day) for day, nth in rows],
            "request_id": [None] * len(rows),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC"), "request_id": pl.String},
    )


def shown(*, days: int = 28) -> pl.DataFrame:
    rows = [(day, nth) for day in range(days) for nth in range(20)]
    return pl.DataFrame(
        {"timestamp": [at(day + (nth + 1) / 20) for day, nth in rows], "items": [[f"i{nth}", "x"] for _, nth in rows]},
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def found(rows: pl.DataFrame, impressions: pl.DataFrame | None = None, *, checks: Checks = CHECKS) -> dict[str, str]:
    """Check → level."""
    latest = Latest(rows, impressions, ("purchase",), checks)
    return {finding.check: finding.level for finding in latest.findings()}


def in_last_week(column: str, value: object) -> pl.Expr:
    """The value in the latest seven days, else what the column has."""
    return pl.when(pl.col("timestamp") > END - timedelta(days=7)).then(pl.lit(value)).otherwise(column).alias(column)


def test_a_log_as_it_always_was_has_nothing_to_find():
    assert found(log()) == {}


@pytest.mark.parametrize(
    ("a_day", "levels"),
    [(5, {"volume of interactions": "error"}), (7, {}), (79, {}), (81, {"volume of interactions": "error"})],
)
def test_volume_is_compared_with_the_median_of_the_weeks_before(a_day, levels):
    # 140 rows a week are usual: 42 to 560 are in order, which are 6 to 80 a day.
    is_before = pl.col("timestamp") <= END - timedelta(days=7)
    rows = pl.concat([log().filter(is_before), log(a_day=a_day).filter(~is_before)])
    assert {check: level for check, level in found(rows).items() if check.startswith("volume")} == levels


def test_two_days_without_an_event_are_an_error_unless_that_happens_every_week():
    hole = pl.col("timestamp").is_between(at(23), at(25.5))
    assert found(log().filter(~hole)) == {"time gap": "error"}
    weekends = (pl.col("timestamp").dt.epoch("s") - int(at(0).timestamp())) % (7 * 86_400) > 4.5 * 86_400
    assert found(log().filter(~weekends)) == {"time gap": "warning"}


def test_a_label_rate_that_changes_more_than_threefold_is_an_error():
    assert found(log().with_columns(in_last_week("event_type", "view"))) == {"label rate": "error"}
    assert found(log().with_columns(in_last_week("event_type", "purchase"))) == {"label rate": "error"}
    # From a fifth to three tenths.
    more = pl.when(pl.col("user_id").is_in(["u1"])).then(pl.lit("purchase")).otherwise("event_type")
    assert found(log().with_columns(event_type=more)) == {}


@pytest.mark.parametrize(("column", "check"), [("user_id", "share of one user"), ("item_id", "share of one item")])
def test_one_user_or_item_with_most_of_the_events_is_an_error_where_it_is_new_and_else_a_warning(column, check):
    assert found(log().with_columns(in_last_week(column, "one")))[check] == "error"
    assert found(log().with_columns(pl.lit("one").alias(column)))[check] == "warning"


def test_a_storm_of_repeated_events_is_an_error():
    last_day = log().filter(pl.col("timestamp") > at(27))
    storm = pl.concat([log(), *[last_day] * 3])
    assert found(storm)["repeated events"] == "error"
    # 140 of the week, and 60 that repeat 20 of them.
    assert repeated_share(storm.filter(pl.col("timestamp") > at(21))) == pytest.approx(60 / 200)


def test_one_item_in_every_impression_is_an_error_where_it_is_new():
    always = shown()
    now = (
        pl.when(pl.col("timestamp") > END - timedelta(days=7))
        .then(pl.col("items"))
        .otherwise(pl.col("items").list.head(1))
    )
    assert found(log(), always) == {"share of impressions with one item": "warning"}
    assert found(log(), always.with_columns(items=now)) == {"share of impressions with one item": "error"}


def test_too_few_rows_say_nothing():
    assert found(log(a_day=1).with_columns(user_id=pl.lit("one"))) == {}
    assert found(log().clear()) == {}


def test_what_is_new_in_a_log_of_a_week_is_a_warning_for_there_is_nothing_to_compare_it_with():
    assert found(log(days=7).with_columns(user_id=pl.lit("one"))) == {"share of one user": "warning"}
