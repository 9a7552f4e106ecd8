"""A catalogue prepared for fine-tuning: every item after the frozen layers, computed once."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from recsys.errors import DataError
from recsys.progress import progress
from training.encoder import TextEncoder

TEXTS_AT_ONCE = 10_000
"""Texts that are tokenized together."""

ITEMS_AT_ONCE = 128
"""Items of like length that are encoded together; on a GPU, which small batches leave idle, ON_GPU times as many."""

ON_GPU = 64

PADDED_AT_MOST = 2
"""So many times the length of the shortest item of a batch is the longest: padding costs what tokens do."""

BYTES_IN_MEMORY = 2 << 30
"""More than these are kept in a file, of which the system holds in memory what is used."""

ITEMS_WORTH_A_BAR = 20_000


@dataclass(frozen=True)
class Ragged:
    """The rows of all items one after another: values (rows, …), and how many rows each item has, int64 (n_items,)."""

    values: Tensor
    lengths: Tensor

    @cached_property
    def starts(self) -> Tensor:
        """The first row of each item: int64 (n_items,)."""
        return self.lengths.cumsum(0) - self.lengths

    def rows(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Row numbers (n, longest), and which of them are the item's, bool (n, longest); the others are padding."""
        lengths, starts = self.lengths[items], self.starts[items, None]
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths[:, None]
        return torch.where(inside, starts + steps, starts), inside

    def gather(self, items: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """The values (n, longest, …) of items, and 1 for a row, 0 for padding: int64 (n, longest)."""
        rows, inside = self.rows(items)
        return self.values[rows].to(device), inside.long().to(device)


class PreparedTexts:
    """Every item of a catalogue after the frozen layers, so that only the layers that learn run again."""

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], device: torch.device | str | None = None) -> None:
        """`device`: where the encoder runs from now on; not given, it stays where it is.

        Raises DataError when what is prepared fits neither into memory nor into the temporary folder.
        """
        self.encoder = encoder
        self.device = next(encoder.parameters()).device if device is None else torch.device(device)
        encoder.to(self.device)
        if self.device.type == "cuda":
            # Made for long sequences: on texts of a dozen tokens the attention of cuDNN takes 1.6 times as long.
            torch.backends.cuda.enable_cudnn_sdp(False)
        self.counts = {"items": len(texts), "empty": 0, "cut": 0}
        """Items; those of which no token was read; those of which not all was read."""
        tokens = self._tokenized(texts)
        self._prepared = self._run_below(tokens) if encoder.prepares else tokens

    @property
    def bytes(self) -> int:
        """How much is kept of the items."""
        return self._prepared.values.nbytes

    def encode(self, items: Sequence[int] | Tensor) -> Tensor:
        """Unit vectors (n, dimension) of items, on the device, with gradients; each distinct item is encoded once."""
        distinct, which = torch.unique(torch.as_tensor(items, dtype=torch.long), return_inverse=True)
        # bfloat16 has the range of float32, so that no loss scaling is needed; what is measured stays exact.
        fast = self.device.type == "cuda" and torch.is_grad_enabled()
        lengths, order = self._prepared.lengths[distinct].sort(stable=True)
        parts = [torch.empty(0, self.encoder.dimension, device=self.device)]
        for batch in self._batches(distinct[order], lengths):
            prepared, mask = self._prepared.gather(batch, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
                parts.append(self.encoder.finish(prepared, mask).float())
        return torch.cat(parts)[order.argsort()[which].to(self.device)]

    def encode_all(self, items: Tensor | None = None) -> Tensor:
        """Unit vectors (n, dimension) of many items, by default all, on the device, without gradients and dropout."""
        learns = self.encoder.training
        self.encoder.eval()
        try:
            with torch.no_grad():
                return self.encode(torch.arange(self.counts["items"]) if items is None else items)
        finally:
            self.encoder.train(learns)

    def _tokenized(self, texts: Sequence[str]) -> Ragged:
        """The token ids, int64."""
        ids: list[int] = []
        lengths: list[int] = []
        for at in range(0, len(texts), TEXTS_AT_ONCE):
            for encoding in self.encoder.encodings(texts[at : at + TEXTS_AT_ONCE]):
                self.counts["empty"] += all(encoding.special_tokens_mask)
                self.counts["cut"] += bool(encoding.overflowing)
                found = self.encoder.ids(encoding)
                ids += found
                lengths.append(len(found))
        return Ragged(torch.tensor(ids, dtype=torch.long), torch.tensor(lengths, dtype=torch.long))

    def _run_below(self, tokens: Ragged) -> Ragged:
        """What enters the layers that learn, float32 (rows, dimension)."""
        lengths = self.encoder.prepared_lengths(tokens.lengths)
        prepared = Ragged(_allocate(int(lengths.sum()), self.encoder.dimension), lengths)
        bar = progress("preparing the texts", len(lengths)) if len(lengths) >= ITEMS_WORTH_A_BAR else nullcontext()
        with torch.no_grad(), bar as advance:
            by_length, order = tokens.lengths.sort(stable=True)
            for batch in self._batches(order, by_length):
                found = self.encoder.prepare(*tokens.gather(batch, self.device)).cpu()
                rows, inside = prepared.rows(batch)
                prepared.values[rows[inside]] = found[inside]
                if advance is not None:
                    advance(len(batch))
        return prepared

    def _batches(self, items: Tensor, lengths: Tensor) -> Iterator[Tensor]:
        """Items in the order of their lengths, as many as are encoded together."""
        size = ITEMS_AT_ONCE * (ON_GPU if self.device.type == "cuda" else 1)
        start = 0
        while start < len(items):
            end = int(torch.searchsorted(lengths, PADDED_AT_MOST * lengths[start], right=True))
            end = min(end, start + size)
            yield items[start:end]
            start = end


def _allocate(rows: int, width: int) -> Tensor:
    """float32 (rows, width), in memory or in a file that goes with the process."""
    size = rows * width * 4
    if size <= BYTES_IN_MEMORY:
        return torch.empty(rows, width)
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"{folder}: {free} bytes are free, the prepared texts take {size}; "
            "set TMPDIR to a larger folder, or text.max_tokens lower"
        )
    with tempfile.TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(rows, width)))
