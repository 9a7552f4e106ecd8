import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recsys.bundle import Bundle, champion, decision_path, open_bundle
from recsys.bundle_files import RANKER_FILE, RANKER_NETWORK_FILE, RANKER_ONNX_FILE
from recsys.config import Gate
from tests.training.conftest import Evaluated, copy_of
from training.contenders import challenger_of, champion_of
from training.contest import Contest, Difference, hold
from training.gate import Decision, decide, write_decision
from training.parity import Parity
from training.pipeline import Pipeline
from training.publishing import publish_models
from training.ranker import train_ranker
from training.ranker_rows import RankerRows

DAY = datetime(2024, 5, 1, tzinfo=UTC)


def difference(name: str = "all", *, low: float, high: float, p: float, users: int = 100) -> Difference:
    mean = (low + high) / 2
    return Difference(
        name=name,
        users=users,
        few=users < 50,
        champion=0.5,
        challenger=0.5 + mean,
        difference=mean,
        ci=(low, high),
        p=p,
    )


def contest(
    whole: Difference,
    *slices: Difference,
    milliseconds: tuple[float, float] = (10, 10),
    rates: tuple[float, float] = (0.1, 0.1),
) -> Contest:
    bins = {
        name: [{"from": 0.0, "to": 0.01, "rate": rate, "rate_ci": [rate - 0.01, rate + 0.01]}]
        for name, rate in zip(("champion", "challenger"), rates, strict=True)
    }
    times = dict(zip(("champion", "challenger"), milliseconds, strict=True))
    return Contest(metric="ndcg@10", whole=whole, slices=list(slices), calibration=bins, milliseconds=times, metrics={})


def decided(
    held: Contest | None,
    *,
    size: int = 100,
    leaks: tuple[str, ...] = (),
    parity: Parity | None = None,
    champion: str | None = "old",
    has_to_go: bool = False,
    **gate,
) -> Decision:
    return decide(
        Gate(**gate),
        held,
        leaks=leaks,
        parity=parity,
        sizes={"champion": 100, "challenger": size},
        champion=champion,
        challenger="new",
        decided_at=DAY,
        measured=(DAY, DAY),
        has_to_go=has_to_go,
    )


EQUAL = difference(low=-0.009, high=0.011, p=0.9)
"""Surely above -2 % of 0.5, which is -0.01."""


def test_what_is_surely_above_the_margin_is_promoted():
    decision = decided(contest(EQUAL))
    assert (decision.promoted, decision.reasons, decision.warnings) == (True, [], [])


def test_the_lower_end_of_the_interval_decides_and_the_margin_is_a_share_of_what_the_champion_reaches():
    better_but_unsure = difference(low=-0.011, high=0.051, p=0.2)
    decision = decided(contest(better_but_unsure))
    assert not decision.promoted
    [reason] = decision.reasons
    assert "surely by more than -0.0110; expected surely more than -0.0100, which is -2.0%" in reason
    assert decided(contest(better_but_unsure), margin=-0.03).promoted
    assert not decided(contest(EQUAL), margin=0.0).promoted


def test_a_champion_that_was_trained_with_forgotten_users_is_kept_by_a_leak_alone():
    worse = contest(difference(low=-0.2, high=-0.05, p=0.001), milliseconds=(10, 100))
    assert len(decided(worse, size=300).reasons) == 3
    decision = decided(worse, size=300, has_to_go=True)
    assert (decision.promoted, decision.reasons, len(decision.warnings)) == (True, [], 3)
    assert all(warning.endswith("has to go") for warning in decision.warnings)
    assert decided(None, has_to_go=True).promoted
    assert decided(worse, has_to_go=True, leaks=("a",)).reasons == ["leak: a"]


def test_a_slice_that_is_significantly_worse_keeps_the_champion_at_a_level_divided_by_their_number():
    worse = difference("garden", low=-0.1, high=-0.02, p=0.02)
    assert not decided(contest(EQUAL, worse)).promoted
    # 0.05 / 3 < 0.02
    others = [difference(name, low=-0.01, high=0.02, p=0.5) for name in ("toys", "office")]
    assert decided(contest(EQUAL, worse, *others)).promoted
    assert not decided(contest(EQUAL, msgspec.structs.replace(worse, p=0.016), *others)).promoted


def test_slices_of_few_users_decide_nothing_and_those_that_are_better_neither():
    few = difference("new users", low=-0.3, high=-0.1, p=0.001, users=49)
    better = difference("toys", low=0.1, high=0.3, p=0.001)
    assert decided(contest(EQUAL, few, better)).promoted


@pytest.mark.parametrize(
    ("held", "size", "reason"),
    [
        (contest(EQUAL), 201, "it has 201 bytes; expected at most 2 times the 100"),
        (contest(EQUAL, milliseconds=(10, 15.1)), 100, "a user takes 15.1 ms; expected at most 1.5 times the 10.0"),
        (contest(msgspec.structs.replace(EQUAL, users=49)), 100, "49 users to measure on, expected at least 50"),
        (None, 100, "fewer than 50 users"),
    ],
)
def test_budgets_and_too_few_users_keep_the_champion(held, size, reason):
    [told] = decided(held, size=size).reasons
    assert told.startswith(reason)


def test_a_millisecond_is_within_the_noise_of_the_clock():
    assert decided(contest(EQUAL, milliseconds=(0.5, 1.4))).promoted


def test_without_a_champion_only_a_leak_refuses():
    assert decided(None, champion=None).promoted
    decision = decided(None, champion=None, leaks=("window 1 saw the future",))
    assert decision.reasons == ["leak: window 1 saw the future"]


def test_features_that_were_served_otherwise_keep_the_champion_unless_few_answers_were_replayed():
    line = "item_users, row 0, item a: found 3, expected 2 (in 5 of 5 requests)"
    for replayed, reasons in ((5, [f"parity: {line}"]), (4, [])):
        decision = decided(contest(EQUAL), parity=Parity("filling", replayed, [line]))
        assert (decision.promoted, decision.reasons) == (not reasons, reasons)
        assert decision.parity.replayed == replayed
    assert decided(contest(EQUAL), parity=Parity("filling", 5, [])).promoted


def test_another_calibration_is_a_warning():
    decision = decided(contest(EQUAL, rates=(0.1, 0.13)))
    assert decision.promoted
    assert decision.warnings == [
        "calibration: of the candidates from 0% to 1% by score 13.00% are chosen, with the champion 10.00%"
    ]
    assert decided(contest(EQUAL, rates=(0.1, 0.115))).warnings == []


def test_the_decision_lies_beside_the_bundle_with_all_its_figures(tmp_path):
    decision = decided(contest(EQUAL, difference("toys", low=0, high=0.1, p=0.1)))
    write_decision(tmp_path, decision)
    assert msgspec.json.decode(decision_path(tmp_path, "new").read_bytes(), type=Decision) == decision


# Rankers that were trained otherwise, on the made-up shop

MARGIN = Gate(margin=-0.1, max_latency=20.0)
"""Seventy users are few: what differs in its seed alone may seem to be worse by 8 %."""


@pytest.fixture(scope="module")
def held(evaluated: Evaluated, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Bundle]:
    """The shop with a champion."""
    workspace = copy_of(evaluated, tmp_path_factory.mktemp("held"))
    pipeline = Pipeline(workspace, cut=evaluated.pipeline.cut)
    publish_models(pipeline, None)
    return pipeline, open_bundle(champion(workspace.bundles))


def judged(held: tuple[Pipeline, Bundle], folder: Path, change=None, *, seed: int = 0) -> Decision:
    """On a challenger whose ranker was trained on changed rows; no change: it is the champion's own."""
    pipeline, bundle = held
    shutil.copytree(bundle.path, folder, dirs_exist_ok=True)
    if change is not None:
        *parts, latest = [change(part) for part in pipeline.ranker_parts(with_text=True)]
        config = msgspec.structs.replace(pipeline.config.ranker, seed=seed)
        for name in (RANKER_ONNX_FILE, RANKER_NETWORK_FILE):
            (folder / name).unlink(missing_ok=True)
        names = pipeline.features.names(pipeline.text.signals)
        ranker = train_ranker(RankerRows.joined(parts), latest, names, config)
        ranker.trees.save_model(folder / RANKER_FILE)
        if ranker.network is not None:
            ranker.network.save(folder / RANKER_NETWORK_FILE)
    contest = hold(pipeline, champion_of(pipeline, bundle), challenger_of(pipeline, folder))
    return decide(
        MARGIN,
        contest,
        leaks=(),
        sizes={"champion": 1, "challenger": 1},
        champion="old",
        challenger="new",
        decided_at=DAY,
        measured=(pipeline.cut, pipeline.end),
    )


def test_the_same_models_differ_by_nothing(held, tmp_path):
    decision = judged(held, tmp_path)
    assert decision.promoted
    assert {one.difference for one in [decision.contest.whole, *decision.contest.slices]} == {0.0}
    assert decision.warnings == []
    names = [one.name for one in decision.contest.slices]
    assert {"new to the user", "light users", "heavy users", "other items", "christmas"} <= set(names)


def test_the_champion_reaches_what_the_evaluation_measured(held, evaluated, tmp_path):
    expected = evaluated.report["models"]["recsys"]["all"]["ndcg@10"]
    assert judged(held, tmp_path).contest.whole.champion == pytest.approx(expected)


def test_a_ranker_that_differs_in_its_seed_alone_is_promoted(held, tmp_path):
    assert judged(held, tmp_path, lambda part: part, seed=7).reasons == []


def test_a_ranker_that_learned_from_shuffled_labels_is_refused(held, tmp_path):
    random = np.random.default_rng(0)
    decision = judged(held, tmp_path, lambda part: replace(part, gains=random.permutation(part.gains)))
    assert not decision.promoted
    assert decision.contest.whole.ci[1] < -0.1


def test_a_ranker_that_learned_from_half_of_the_features_is_refused(held, tmp_path):
    def without_half(part: RankerRows) -> RankerRows:
        """What the items are to everybody is left, what they are to the user is not."""
        matrix = part.matrix.copy()
        matrix[:, matrix.shape[1] // 2 :] = np.nan
        return replace(part, matrix=matrix)

    decision = judged(held, tmp_path, without_half)
    assert not decision.promoted
    assert decision.contest.whole.ci[1] < -0.05
