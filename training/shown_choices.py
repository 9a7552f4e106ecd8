"""What users chose of what they were shown: what was passed over counts as refused.

An interaction answers the impression that its request_id names; one without answers every impression of the same user
that showed the item within a day before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from recsys.catalogue import Catalogue
from recsys.schema import EVENT_TYPE, ITEM_ID, QUERY, REQUEST_ID, TIMESTAMP, USER_ID
from recsys.state import Mask
from training.histories import Log, PaddedPasts, Past
from training.next_choices import Choices

IMPRESSIONS_A_STEP = 16
MOST_SHOWN = 50
"""Items of an impression that are looked at, from the top."""

DAY = pl.duration(days=1)


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
    position = pl.col(ITEM_ID).replace_strict(catalogue.index, default=None, return_dtype=pl.Int64)
    shown = (
        impressions.with_row_index("at")
        .with_columns(**{ITEM_ID: pl.col("items").list.head(MOST_SHOWN)})
        .explode(ITEM_ID)
        .with_columns(position=position)
        .drop_nulls("position")
    )
    shown = shown.filter(~pl.Series(without)[shown["position"].to_numpy()]).unique(["at", ITEM_ID], keep="first")
    answers = interactions.filter(pl.col(EVENT_TYPE).is_in(labels))
    if REQUEST_ID not in answers.columns:
        answers = answers.with_columns(pl.lit(None, pl.String).alias(REQUEST_ID))
    named = shown.join(answers.drop_nulls(REQUEST_ID), on=[REQUEST_ID, ITEM_ID])
    following = shown.join(
        answers.filter(pl.col(REQUEST_ID).is_null()), on=[USER_ID, ITEM_ID], suffix="_answer"
    ).filter(pl.col(f"{TIMESTAMP}_answer").is_between(pl.col(TIMESTAMP), pl.col(TIMESTAMP) + DAY))
    chosen = pl.concat([rows.select("at", "position", EVENT_TYPE) for rows in (named, following)]).unique()
    by_impression: dict[int, list[tuple[int, str]]] = {}
    for at, item, event_type in chosen.iter_rows():
        by_impression.setdefault(at, []).append((item, event_type))
    listed = shown.filter(pl.col("at").is_in(list(by_impression))).sort("at", "position")
    found = []
    for (at,), rows in listed.group_by("at", maintain_order=True):
        items = rows["position"].to_list()
        places = {item: place for place, item in enumerate(items)}
        of_labels: list[set[int]] = [set() for _ in labels]
        for item, event_type in by_impression[int(at)]:
            of_labels[labels.index(event_type)].add(places[item])
        if len(set().union(*of_labels)) < len(items):
            query = rows[QUERY][0] if QUERY in rows.columns else None
            found.append(Shown(rows[USER_ID][0], rows[TIMESTAMP][0].timestamp(), query, items, of_labels))
    return found
