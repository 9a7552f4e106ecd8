"""What the report says of logs whose numbers can be worked by hand."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsys.errors import ConfigError
from recsys.sequential import radius
from recsys.workspace import Workspace
from serving.events import EventLog
from serving.experiment_commands import experiment, experiment_report
from serving.experiment_report import ExperimentReport
from serving.exporting import export_log
from serving.types import Impression, Interaction, ShadowList, ShownExperiment

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=3)
TOML = """
name = "shop"
[source]
interactions = "interactions.csv"
[interaction_types]
click = {}
purchase = { label = true }
[log]
retention_days = 1
[experiments.split]
variants.control = { share = 0.5 }
variants.new = { bundle = "b2", share = 0.5 }
variants.dark = { bundle = "b3", shadow = true }
planned_users = 400
[experiments.mix]
method = "interleave"
variants.control = { share = 0.5 }
variants.new = { bundle = "b2", share = 0.5 }
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "recsys.toml").write_text(TOML)
    return Workspace.open(tmp_path / "recsys.toml")


def shown(user: str, variant: str | None, *, name: str = "split", at: datetime = NOON, **changes: Any) -> Impression:
    fields = {"request_id": f"r-{user}", "items": ["a", "b"], "surface": "home", "bundle": "b"}
    return Impression(user_id=user, timestamp=at, experiment=ShownExperiment(name, variant), **fields | changes)


def did(user: str, kind: str = "purchase", *, at: datetime = NOON + timedelta(hours=1), **changes: Any) -> Interaction:
    fields = {"item_id": "a", "request_id": f"r-{user}"}
    return Interaction(user_id=user, event_type=kind, timestamp=at, **fields | changes)


def fill(workspace: Workspace, impressions: list[Impression], events: list[Interaction]) -> None:
    with EventLog.open(workspace.events) as log:
        for impression in impressions:
            log.show(impression)
        if events:
            log.append(events)


def values(found: ExperimentReport, metric: str) -> dict[str, float | None]:
    (one,) = [each for each in found.metrics if each.name == metric]
    return {each.variant: each.value for each in one.variants}


def test_each_metric_is_a_mean_over_the_users_of_a_variant(workspace):
    impressions = [shown(user, "control") for user in ("c1", "c2", "c3", "c4")] + [shown("n1", "new")]
    impressions += [shown("n1", "new", request_id="r2", at=NOON + timedelta(hours=2)), shown("n2", "new")]
    events = [did("c1", value=10.0), did("c1", value=2.0), did("n1", value=3.0), did("n2", "click")]
    fill(workspace, impressions, events)
    found = experiment_report(workspace, "split", LATER)
    assert (found.users, found.impressions) == ({"control": 4, "new": 2}, {"control": 4, "new": 3})
    assert values(found, "users_with_purchase") == {"control": 0.25, "new": 0.5}
    assert values(found, "purchase_per_user") == {"control": 0.5, "new": 0.5}
    assert values(found, "purchase_value_per_user") == {"control": 3.0, "new": 1.5}
    assert values(found, "users_with_click") == {"control": 0.0, "new": 0.5}
    # A click is no label, and of three lists of the new variant one led to a purchase.
    assert values(found, "conversion_per_impression") == {"control": 0.25, "new": pytest.approx(1 / 3)}
    assert all(each.difference is None for metric in found.metrics for each in metric.variants)
    assert found.warnings == []


def test_a_user_counts_once_the_window_is_over_with_what_happened_in_it(workspace):
    after, before = NOON + timedelta(days=1), NOON - timedelta(seconds=1)
    late = LATER - timedelta(hours=23)
    impressions = [shown("early", "control"), shown("late", "control", at=late)]
    events = [did("early", at=after), did("early", at=before), did("late", at=late), did("nobody")]
    fill(workspace, impressions, events)
    found = experiment_report(workspace, "split", LATER)
    assert (found.users["control"], found.users_counted["control"]) == (2, 1)
    assert values(found, "purchase_per_user") == {"control": 0.0, "new": None}
    assert values(experiment_report(workspace, "split", LATER + timedelta(hours=1)), "purchase_per_user") == {
        "control": 0.5,
        "new": None,
    }


def test_the_difference_has_the_width_of_the_confidence_sequence(workspace):
    impressions = [shown(f"{variant}{n}", variant) for variant in ("control", "new") for n in range(200)]
    events = [did(f"control{n}") for n in range(20)] + [did(f"new{n}") for n in range(100)]
    fill(workspace, impressions, events)
    found = experiment_report(workspace, "split", LATER)
    (metric,) = [each for each in found.metrics if each.name == "users_with_purchase"]
    difference = metric.variants[1].difference
    assert difference is not None
    assert difference.value == pytest.approx(0.4)
    error = (0.1 * 0.9 / 199 + 0.5 * 0.5 / 199) ** 0.5
    assert difference.high - 0.4 == pytest.approx(error * radius(400, planned=400))
    assert difference.low > 0


def test_the_variance_of_a_conversion_is_that_of_users_and_not_of_lists(workspace):
    # Two lists of each user, both answered or none: as many users say as much as with one list.
    impressions, events = [], []
    for variant in ("control", "new"):
        for n in range(100):
            user = f"{variant}{n}"
            impressions += [shown(user, variant, request_id=f"{at}-{user}") for at in range(2)]
            events += [did(user, request_id=f"{at}-{user}") for at in range(2) if n < 50]
    fill(workspace, impressions, events)
    (metric,) = [each for each in experiment_report(workspace, "split", LATER).metrics if each.name.startswith("conv")]
    difference = metric.variants[1].difference
    assert difference is not None
    assert difference.high == pytest.approx((2 * 0.25 / 99) ** 0.5 * radius(200, planned=400))


def test_users_that_are_not_as_the_shares_say_are_warned_of(workspace):
    fill(workspace, [shown(f"u{n}", "control" if n < 70 else "new") for n in range(100)], [])
    (warning,) = experiment_report(workspace, "split", LATER).warnings
    # (70 - 50)² / 50 + (30 - 50)² / 50 = 16 on one degree of freedom.
    assert warning.startswith("sample ratio mismatch (p = 6.3e-05): {'control': 70, 'new': 30} users")


def test_a_user_who_was_shown_two_variants_does_not_count(workspace):
    fill(workspace, [shown("u", "control"), shown("u", "new", request_id="r2"), shown("v", "new")], [])
    found = experiment_report(workspace, "split", LATER)
    assert found.users == {"control": 0, "new": 1}
    assert found.warnings == ["1 users were shown several variants and do not count; were shares or salt changed?"]


def test_interleaving_counts_each_user_who_chose_more_of_one_team(workspace):
    teams = ["control", "new"]
    users = [f"u{n}" for n in range(6)]
    impressions = [shown(user, None, name="mix", teams=teams) for user in users]
    # u0 to u2 prefer the new one, u3 the other; u4 chose one of each, u5 nothing of the list.
    events = [did(user, "click", item_id="b") for user in ("u0", "u1", "u2", "u2", "u4")]
    events += [did("u3"), did("u4"), did("u5", item_id="z"), did("u0", item_id="b")]
    fill(workspace, impressions, events)
    mixed = experiment_report(workspace, "mix", LATER).interleaving
    assert mixed is not None
    assert (mixed.users, mixed.prefer_first, mixed.prefer_second, mixed.share.value) == (5, 1, 3, 0.75)
    assert mixed.share.low < 0.5 < mixed.share.high


def test_a_shadow_is_compared_with_what_was_shown(workspace):
    fill(workspace, [shown("u", "control", items=list("abcd"))], [])
    with EventLog.open(workspace.events) as log:
        shadow = ShadowList(request_id="r-u", experiment="split", variant="dark", bundle="b3")
        shadow.items, shadow.timestamp, shadow.took_ms = list("dxyz"), NOON, 7.5
        log.show_shadow(shadow)
    (found,) = experiment_report(workspace, "split", LATER).shadows
    assert (found.variant, found.lists, found.same_top, found.took_ms) == ("dark", 1, 0.25, 7.5)


def test_what_was_exported_and_forgotten_counts_as_before(workspace, monkeypatch):
    impressions = [shown("c1", "control"), shown("n1", "new"), shown("n2", None, name="mix", teams=["new", "control"])]
    fill(workspace, impressions, [did("c1", value=4.0), did("n1")])
    before = experiment_report(workspace, "split", LATER)
    monkeypatch.setattr("serving.exporting._old_before", lambda *_: datetime.now(UTC) + timedelta(days=1))
    export_log(workspace)
    after = experiment_report(workspace, "split", LATER)
    assert after == before
    assert values(after, "purchase_value_per_user") == {"control": 4.0, "new": 0.0}
    assert experiment_report(workspace, "mix", LATER).users == {"mixed": 1}
    fill(workspace, [shown("c2", "control", at=NOON)], [did("c1", event_id="again", at=NOON)])
    both = experiment_report(workspace, "split", LATER)
    assert both.users == {"control": 2, "new": 1}
    assert values(both, "purchase_per_user")["control"] == 1.0


def test_the_command_prints_a_table_or_json(workspace):
    impressions = [shown(f"{variant}{n}", variant) for variant in ("control", "new") for n in range(100)]
    fill(workspace, impressions, [did(f"new{n}") for n in range(90)])
    config = ["--config", str(workspace.root / "recsys.toml")]
    table = CliRunner().invoke(experiment, ["report", "split", *config], env={"COLUMNS": "200"})
    assert table.exit_code == 0, table.output
    assert "new: 100 lists, 100 users, of whom 100 count" in table.output
    assert "+0.9000 (+" in table.output
    assert "more" in table.output
    found = json.loads(CliRunner().invoke(experiment, ["report", "split", "--json", *config]).output)
    assert found["users"] == {"control": 100, "new": 100}
    assert found["metrics"][2]["variants"][1]["difference"]["value"] == 0.9


def test_an_experiment_that_there_is_not_is_refused_with_those_that_there_are(workspace):
    with pytest.raises(ConfigError, match=r"no experiment 'x'; expected one of \['mix', 'split'\]"):
        experiment_report(workspace, "x", LATER)
