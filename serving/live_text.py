"""The text model of a bundle at serving: the vectors of items, and which items read otherwise than in the bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from recsys.bundle import Bundle
from recsys.bundle_files import VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.config import Precision
from recsys.encoder import bundle_encoder, bundle_text
from recsys.interest import Vectors
from recsys.schema import TITLE, UPDATED_AT
from serving.item_types import ItemVersion


class LiveText:
    """Thread-safe."""

    def __init__(self, bundle: Bundle, precision: Precision, packed_in: Path | None) -> None:
        """`packed_in`: the folder of what processes share of the model; None: nothing. Raises BundleError."""
        self.encoder: Final = bundle_encoder(bundle, precision, packed_in=packed_in)
        self._text = bundle_text(bundle, self.encoder)

    def of(self, items: Sequence[ItemVersion]) -> list[str]:
        """What the text model reads of each."""
        return [self._text.of_item(item.columns or {}) for item in items]

    def vectors(self, items: Sequence[ItemVersion]) -> Vectors:
        """The unit vector of each item's text: float32 (n, d)."""
        return self.encoder.encode(self.of(items))

    def differs(self, item: ItemVersion, catalogue: Catalogue) -> bool:
        """Whether the bundle's catalogue has the item otherwise, and in no later version."""
        position = catalogue.index.get(item.item_id)
        if position is None:
            return item.columns is not None
        known = catalogue.table.row(position, named=True)
        known_at = known.get(UPDATED_AT)
        if known_at is not None and item.updated_at is not None and known_at >= item.updated_at:
            return False
        return item.columns is None or (item.title, self._text.of_item(item.columns)) != (
            known[TITLE],
            self._text.of_item(known),
        )


def item_vectors(bundle: Bundle) -> Vectors:
    """float32 (n_items, d), copy on write: processes share what no item has changed."""
    # As a plain array: NumPy looks at each part that is taken of a mapped one.
    found: Vectors = np.asarray(np.load(bundle.path / VECTORS_FILE, mmap_mode="c"))
    return found
