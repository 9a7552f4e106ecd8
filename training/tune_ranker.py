"""Settings of the ranker to search for: each trial learns from all windows but the latest one before the cut.

A trial counts by ndcg@10 of the lists of the latest window, with as many trees as reach the most there: what
`recsys train` takes to choose the number of trees.
"""

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from recsys.config import Ranker
from recsys.errors import DataError
from training.pipeline import Pipeline
from training.ranker import probe
from training.ranker_rows import RankerRows
from training.ranker_settings import rows_in_leaf
from training.tune import Report, Searched, Settings

if TYPE_CHECKING:
    import optuna

LEAST_L2: Final = 0.001

SEARCHED: Final = Searched(
    section="ranker",
    keys=("leaves", "learning_rate", "rows_in_leaf", "feature_share", "l2", "truncation"),
    measure="ndcg@10 on the latest window",
    explained="ndcg@10 of the lists of the latest window before the cut, which the trees have not learned from.",
    column="ndcg@10",
    digits=4,
)


class TunedRanker:
    """The stage `ranker` of a pipeline, with the text model."""

    searched = SEARCHED

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def config(self) -> Ranker:
        return self._pipeline.config.ranker

    @property
    def key(self) -> str:
        usual = Ranker()
        return self._pipeline.key_with(replace(self.config, **{name: getattr(usual, name) for name in SEARCHED.keys}))

    @cached_property
    def _rows(self) -> tuple[RankerRows, RankerRows]:
        """Those of the earlier windows and of the latest one; the same for all trials."""
        self._pipeline.compute_features()
        parts = self._pipeline.ranker_parts(with_text=True)
        if len(parts) < 2:
            raise DataError(
                f"ranker: {len(parts)} of {len(self._pipeline.windows)} windows before {self._pipeline.cut:%Y-%m-%d} "
                "have anything to learn from, expected 2 or more; import more, or set ranker.window_days lower"
            )
        return RankerRows.joined(parts[:-1]), parts[-1]

    @cached_property
    def _features(self) -> tuple[str, ...]:
        return self._pipeline.features.names(self._pipeline.text.signals)

    def first(self) -> Settings:
        leaf = rows_in_leaf(self.config, len(self._rows[0].gains))
        found: Settings = {name: getattr(self.config, name) for name in SEARCHED.keys}
        return found | {"rows_in_leaf": leaf, "l2": max(LEAST_L2, self.config.l2)}

    def suggested(self, trial: "optuna.Trial") -> Ranker:
        now, first = self.config, self.first()
        leaf = int(first["rows_in_leaf"])
        l2 = float(first["l2"])
        return replace(
            now,
            leaves=trial.suggest_int("leaves", min(4, now.leaves), max(63, now.leaves), log=True),
            learning_rate=trial.suggest_float(
                "learning_rate", min(0.01, now.learning_rate), max(0.2, now.learning_rate), log=True
            ),
            rows_in_leaf=trial.suggest_int("rows_in_leaf", min(5, leaf), max(500, leaf), log=True),
            feature_share=trial.suggest_float("feature_share", min(0.2, now.feature_share), 1.0),
            l2=trial.suggest_float("l2", min(0.1, l2), max(200.0, l2), log=True),
            truncation=trial.suggest_int("truncation", min(5, now.truncation), max(100, now.truncation), log=True),
        )

    def learn(self, settings: Ranker, report: Report, label: str) -> float:
        print(label, file=sys.stderr)
        return probe(*self._rows, self._features, settings).ndcg
