"""Replay logged impressions: order exactly what was shown after the cut, and see where what was chosen would stand.

Reads   tables/, what `recsys train` keeps in features/ and cache/
Writes  replay.json

    recsys evaluate --config recsys.toml --replay impressions

The log was shown in some order, and what stood at the top was chosen more often for that alone: the model `shown_order`
says how much that explains. Impressions of which nothing or everything was chosen say nothing of an order, and answers
to queries are not ordered by the ranker: they are counted and left out.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from features.families.exposure import smoothed_rate
from features.fields import CHOSEN_DAYS, chosen_of, windowed
from recsys.config import Evaluation
from recsys.errors import DataError
from recsys.impression_metrics import per_request_metrics, summarise_requests
from recsys.interest import SIGNALS
from recsys.progress import progress
from recsys.schema import TIMESTAMP
from recsys.state import Floats, ItemState
from training.pipeline import Pipeline
from training.shown_lists import ShownList

REPORT_FILE: Final = "replay.json"
LISTS_AT_ONCE: Final = 1_000
SEED: Final = 0

MEASURED: Final = Evaluation(
    recall_at=(10,), ndcg_at=(5, 10), mrr_at=(10,), map_at=(), hit_rate_at=(1, 5), coverage_at=(), novelty_at=()
)


def replay(pipeline: Pipeline, *, bundle: str) -> dict[str, Any]:
    """The report: counts of impressions and users, and for each model what summarise_requests gives.

    What was measured before with the same models is not measured again. Raises DataError when there is no impression
    after the cut to measure on.
    """
    if pipeline.impressions is None:
        raise DataError(
            "impressions: the table is missing, so there is nothing to replay; name the file under impressions in "
            "[source] and run `recsys import`, or evaluate without --replay"
        )
    lists = pipeline.shown_lists(pipeline.cut, None)
    counts = counts_of(lists)
    if not counts["measured"]:
        total = pipeline.impressions.filter(pipeline.impressions[TIMESTAMP] >= pipeline.cut).height
        raise DataError(
            f"impressions: none of the {total} from {pipeline.cut} on can be measured: {_in_words(counts)}; expected "
            "some of which part was chosen; import interactions that name their request_id, or set split.test_start "
            "earlier"
        )
    pipeline.compute_features()
    _ = pipeline.text
    for with_text in (True, False):
        pipeline.ranker(with_text=with_text)

    def build(folder: Path) -> None:
        (folder / REPORT_FILE).write_bytes(msgspec.json.encode(measure(pipeline, lists)))

    folder = pipeline.stages.run("replay", pipeline.key, build)
    measured: dict[str, Any] = msgspec.json.decode((folder / REPORT_FILE).read_bytes())
    frame = {"dataset": pipeline.config.name, "test_start": pipeline.cut.isoformat(), "bundle": bundle}
    return {**frame, "impressions": counts, **measured, "seconds": dict(pipeline.stages.seconds)}


def counts_of(lists: Sequence[ShownList]) -> dict[str, int]:
    """How many impressions there are, how many are measured, and for what reason the others are not."""
    reasons = Counter(_reason(one) for one in lists)
    return {"all": len(lists), **{name: reasons[name] for name in ("measured", "asked", "none_chosen", "all_chosen")}}


def _reason(one: ShownList) -> str:
    if one.asked:
        return "asked"
    return "measured" if one.has_order else "all_chosen" if one.chosen.any() else "none_chosen"


def _in_words(counts: dict[str, int]) -> str:
    return (
        f"{counts['all']} show items that are known, of {counts['none_chosen']} nothing was chosen, of "
        f"{counts['all_chosen']} everything, and {counts['asked']} answer a query"
    )


def measure(pipeline: Pipeline, lists: Sequence[ShownList]) -> dict[str, Any]:
    """The models on those of the lists that can be measured; `users`, and those of them without a history."""
    measured = [one for one in lists if _reason(one) == "measured"]
    items = pipeline.store.items_at(pipeline.catalogue, pipeline.cut)
    users = sorted({one.user for one in measured})
    scores, without_history = _scores(pipeline, items, measured)
    shown = np.concatenate([one.items for one in measured])
    scores |= {
        "random": np.random.default_rng(SEED).random(len(shown)),
        "shown_order": -np.concatenate([one.places for one in measured]).astype(np.float64),
        "popularity": items.popularity[shown],
        "ctr": click_through(items, pipeline.config.label_types)[shown],
    }
    requests = np.repeat(np.arange(len(measured)), [len(one.items) for one in measured])
    chosen = np.concatenate([one.chosen for one in measured])
    order = ("random", "shown_order", "popularity", "ctr", "text_model", "recsys_no_text", "recsys")
    return {
        "users": {"all": len(users), "without_history": len(without_history)},
        "items": {"shown": len(shown), "chosen": int(chosen.sum())},
        "models": {
            name: summarise_requests(per_request_metrics(requests, scores[name], chosen, MEASURED)) for name in order
        },
    }


def click_through(items: ItemState, labels: Sequence[str]) -> Floats:
    """Choices by impression in the weeks before the cut, smoothed as the features are: float64 (n_items,)."""
    exposure, shown = items.exposure, windowed("shown", CHOSEN_DAYS)
    if exposure is None or exposure.total(shown) == 0:
        return np.zeros(len(items))
    columns = [windowed(chosen_of(name), CHOSEN_DAYS) for name in labels]
    prior = sum(exposure.total(name) for name in columns) / exposure.total(shown)
    chosen = np.sum([np.nan_to_num(exposure.column(name)) for name in columns], axis=0)
    return smoothed_rate(chosen, np.nan_to_num(exposure.column(shown)), prior)


def _scores(pipeline: Pipeline, items: ItemState, lists: Sequence[ShownList]) -> tuple[dict[str, Floats], set[str]]:
    """What ours say of each item shown, and which users have no history."""
    recommender = pipeline.recommender(items, pipeline.text.scorer(pipeline.cut))
    rankers = {"recsys": pipeline.ranker(with_text=True), "recsys_no_text": pipeline.ranker(with_text=False)}
    behaviour, interest = len(pipeline.features.behaviour), SIGNALS.index("text_interest")
    found: dict[str, list[Floats]] = {name: [] for name in ("text_model", *rankers)}
    without_history = set()
    with progress("replaying impressions", len(lists)) as advance:
        for start in range(0, len(lists), LISTS_AT_ONCE):
            part = lists[start : start + LISTS_AT_ONCE]
            users = sorted({one.user for one in part})
            states = dict(zip(users, pipeline.store.users_at(users, pipeline.catalogue, pipeline.cut), strict=True))
            without_history |= {name for name, state in states.items() if len(state.history) == 0}
            matrices = []
            for one in part:
                user = states[one.user]
                signals = recommender.signals(user, one.items)
                assert signals is not None
                found["text_model"].append(signals[:, interest].astype(np.float64))
                matrices.append(recommender.assemble(user, one.items, signals))
                advance()
            matrix = np.concatenate(matrices)
            # The columns of the text model are the last.
            found["recsys"].append(np.asarray(rankers["recsys"].predict(matrix)))
            found["recsys_no_text"].append(np.asarray(rankers["recsys_no_text"].predict(matrix[:, :behaviour])))
    return {name: np.concatenate(parts) for name, parts in found.items()}, without_history
