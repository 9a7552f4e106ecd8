"""What users chose of what they were shown (training.answers): what was passed over counts as refused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from recsys.catalogue import Catalogue
from recsys.schema import QUERY, TIMESTAMP, USER_ID
from recsys.state import Mask
from training.answers import AT, POSITION, answers, shown_items
from training.histories import Log, PaddedPasts, Past
from training.next_choices import Choices

IMPRESSIONS_A_STEP = 16
MOST_SHOWN = 50
"""Items of an impression that are looked at, from the top."""


@dataclass(frozen=True)
class Shown:
    """An impression of which something was chosen: positions of its items, and for each label places among them."""

    user: str
    time: float
    query: str | None
    items: list[int]
    chosen: list[set[int]]


class ShownChoices:
    """Impressions of which something was chosen, to draw from."""

    def __init__(
        self,
        log: Log,
        impressions: pl.DataFrame,
        interactions: pl.DataFrame,
        catalogue: Catalogue,
        labels: Sequence[str],
        *,
        without: Mask,
        history_items: int,
    ) -> None:
        """From impressions and interactions that may be learned from; `without` marks items that may not be."""
        self._log, self._history_items, self._labels = log, history_items, list(labels)
        self._rows = _answered(impressions, interactions, catalogue, self._labels, without)

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, random: np.random.Generator) -> Choices:
        """IMPRESSIONS_A_STEP impressions, each with its own candidates: what was shown."""
        rows = [self._rows[at] for at in random.integers(len(self), size=IMPRESSIONS_A_STEP)]
        width = max(len(shown.items) for shown in rows)
        candidates = torch.zeros(len(rows), width, dtype=torch.long)
        targets = torch.zeros(len(self._labels), len(rows), width)
        offset = torch.full((len(rows), width), -torch.inf)
        pasts = []
        for row, shown in enumerate(rows):
            user = self._log.users.get(shown.user)
            pasts.append(Past.empty() if user is None else self._log.past(user, shown.time, self._history_items))
            candidates[row, : len(shown.items)] = torch.tensor(shown.items)
            offset[row, : len(shown.items)] = 0
            for label, chosen in enumerate(shown.chosen):
                for place in chosen:
                    targets[label, row, place] = 1
        return Choices(PaddedPasts.of(pasts), candidates, targets, offset, [shown.query for shown in rows])


def _answered(
    impressions: pl.DataFrame, interactions: pl.DataFrame, catalogue: Catalogue, labels: Sequence[str], without: Mask
) -> list[Shown]:
    """The impressions of which something was chosen and something was not."""
    shown = shown_items(impressions, catalogue, most=MOST_SHOWN, without=without)
    chosen = answers(shown, interactions, labels)
    by_impression: dict[int, list[tuple[int, str]]] = {}
    for at, item, event_type in chosen.iter_rows():
        by_impression.setdefault(at, []).append((item, event_type))
    listed = shown.filter(pl.col(AT).is_in(list(by_impression))).sort(AT, POSITION)
    found = []
    for (at,), rows in listed.group_by(AT, maintain_order=True):
        items = rows[POSITION].to_list()
        places = {item: place for place, item in enumerate(items)}
        of_labels: list[set[int]] = [set() for _ in labels]
        for item, event_type in by_impression[int(at)]:
            of_labels[labels.index(event_type)].add(places[item])
        if len(set().union(*of_labels)) < len(items):
            query = rows[QUERY][0] if QUERY in rows.columns else None
            found.append(Shown(rows[USER_ID][0], rows[TIMESTAMP][0].timestamp(), query, items, of_labels))
    return found
