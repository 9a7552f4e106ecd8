"""Online Retail as the benchmarks use it: the texts of its catalogue, its interactions, and how well vectors rank."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from recsys.catalogue import Catalogue
from recsys.importing import import_tables
from recsys.interest import Vectors
from recsys.metrics import NDCG_AT, per_user_metrics
from recsys.retrieval.merge import best
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.split import cold_items, split_by_time
from recsys.state import Mask, Positions
from recsys.workspace import Workspace
from training.demo import CONFIG, DATA

TEMPERATURE = 12.0
HISTORY_ITEMS = 40
"""Of zero_shot_text: log-sum-exp of 12 × cosine over the last 40 distinct items."""


@dataclass(frozen=True)
class OnlineRetail:
    """The imported data set and its cut."""

    interactions: pl.DataFrame
    catalogue: Catalogue
    cut: datetime

    @classmethod
    def imported(cls, folder: Path) -> "OnlineRetail":
        """Import it into a folder."""
        (folder / "recsys.toml").write_text(CONFIG.format(data=json.dumps(os.path.relpath(DATA, folder))))
        workspace = Workspace.open(folder / "recsys.toml")
        import_tables(workspace)
        cut = workspace.config.split.test_start
        assert cut is not None
        return cls(workspace.read_table("interactions"), Catalogue.load(workspace, as_of=cut), cut)

    @property
    def texts(self) -> list[str]:
        """The titles, in the order of the catalogue."""
        titles: list[str] = self.catalogue.table["title"].to_list()
        return titles

    def histories(self) -> dict[str, Positions]:
        """What each user had before the cut, the latest first."""
        known, _ = split_by_time(self.interactions, self.cut)
        latest = known.group_by(USER_ID, ITEM_ID).agg(pl.col(TIMESTAMP).max()).sort(TIMESTAMP, ITEM_ID, descending=True)
        table = latest.group_by(USER_ID, maintain_order=True).agg(ITEM_ID)
        return {user: np.array([self.catalogue.index[item] for item in items]) for user, items in table.iter_rows()}


class ColdItems:
    """The task `cold`: cold items alone are ranked, for users who chose one for the first time after the cut."""

    def __init__(self, data: OnlineRetail) -> None:
        cold = cold_items(data.catalogue.item_ids)
        _, window = split_by_time(data.interactions.sort(TIMESTAMP), data.cut)
        chosen = dict(window.group_by(USER_ID, maintain_order=True).agg(pl.col(ITEM_ID).unique()).iter_rows())
        histories = data.histories()
        self._cases: list[tuple[Positions, Mask, frozenset[int]]] = []
        for user, items in chosen.items():
            history = histories.get(user, np.array([], dtype=np.int64))
            ranked = cold.copy()
            ranked[history] = False
            relevant = frozenset(at for at in (data.catalogue.index[item] for item in items) if ranked[at])
            known = history[~cold[history]][:HISTORY_ITEMS]
            if len(known) and relevant:
                self._cases.append((known, ranked, relevant))

    def __len__(self) -> int:
        return len(self._cases)

    def ndcg(self, vectors: Vectors) -> float:
        """ndcg@10 of zero_shot_text with these vectors, float32 (n_items, d)."""
        top = []
        for history, ranked, _ in self._cases:
            interest = np.log(np.exp(TEMPERATURE * (vectors @ vectors[history].T)).sum(axis=1))
            top.append(best(np.where(ranked, interest, -np.inf).astype(np.float64), NDCG_AT))
        return float(per_user_metrics(top, [case[2] for case in self._cases])[f"ndcg@{NDCG_AT}"].mean())
