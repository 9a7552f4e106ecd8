"""What there is to read of every item at several moments: a text that was changed later is not known before.

texts = TextsInTime.of(catalogue, ItemText.configured(config.text, tokenizer), [*windows, cut])
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from recsys.catalogue import Catalogue
from recsys.itemtext import ItemText
from recsys.state import Positions

EVER = datetime.min.replace(tzinfo=UTC)
"""seen_until of texts that were always there, and of a pretrained model, which saw no interaction at all."""


@dataclass(frozen=True)
class TextsInTime:
    """The texts of a catalogue over time, each once.

    texts       of the first moment in the order of the catalogue, and behind them what later took the place of one
    rows        for each moment the text of each item: int64 (n_items,)
    seen_until  for each moment when the latest of them took the place of an earlier one; EVER: all are first versions
    """

    texts: list[str]
    rows: dict[datetime, Positions]
    seen_until: dict[datetime, datetime]

    @classmethod
    def of(cls, catalogue: Catalogue, reader: ItemText, moments: Iterable[datetime]) -> "TextsInTime":
        row_of: dict[tuple[int, str], int] = {}
        rows, seen_until = {}, {}
        for moment in moments:
            known = catalogue.at(moment)
            read = enumerate(reader.of_table(known.table))
            rows[moment] = np.array([row_of.setdefault(text, len(row_of)) for text in read], dtype=np.int64)
            seen_until[moment] = known.seen_until or EVER
        return cls([text for _, text in row_of], rows, seen_until)
