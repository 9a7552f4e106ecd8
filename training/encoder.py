"""The item tower: a Hugging Face encoder that turns texts into unit vectors, and learns as [finetune] says."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from tokenizers import Encoding
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from recsys.config import Finetune, Text
from recsys.errors import DataError
from training.adapting import ResidualHead, adapted, lowest_trained, merged, model_dropout
from training.blocks import can_be_cut, find_blocks
from training.loading import load_model, load_tokenizer
from training.pooling import Pooling

TOLERANCE = 1e-4
"""Most that an encoder in two halves may differ from the whole one."""

PROBES = ("lamp", "a red mug", "a very long description of a blue garden chair with many words in it")


class ItemTower(nn.Module):
    """What is exported: model, pooling and, with finetune.method head, the layer on top."""

    def __init__(self, model: nn.Module, pooling: Pooling, head: nn.Module) -> None:
        super().__init__()
        self.model, self.pooling, self.head = model, pooling, head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (n, d) of token ids (n, length); attention_mask is 1 for a token, 0 for padding."""
        return self.vectors(self.pooling(self.hidden(input_ids, attention_mask), attention_mask))

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The last hidden states: (n, length, d)."""
        found: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return found

    def vectors(self, pooled: Tensor) -> Tensor:
        """Unit vectors (n, d) of pooled ones."""
        return nn.functional.normalize(self.head(nn.functional.normalize(pooled, dim=1)), dim=1)


class TextEncoder(nn.Module):
    """Token ids to unit vectors, in two steps: `prepare` never learns and runs once an item, `finish` learns."""

    def __init__(self, folder: Path, text: Text, tune: Finetune) -> None:
        """Raises DataError for files that hold no whole encoder, ConfigError for more tokens than it can read."""
        super().__init__()
        self.folder = folder
        model = load_model(folder, dropout=model_dropout(tune))
        self.tokenizer = load_tokenizer(folder, text.max_tokens, model)
        self._instead_of_nothing = model.config.pad_token_id or 0
        self.dimension: int = model.config.hidden_size
        self._blocks = find_blocks(model)
        self._split = self._working_split(lowest_trained(tune, len(self._blocks)))
        learning_model, self._learning = adapted(self._blocks, tune)
        head = ResidualHead(self.dimension, tune.dropout) if tune.method == "head" else nn.Identity()
        self._learning.append(head)
        self.tower = ItemTower(learning_model, Pooling(text.pooling, self.dimension), head)
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (n, dimension) of token ids (n, length); attention_mask is 1 for a token, 0 for padding."""
        found: Tensor = self.tower(input_ids, attention_mask)
        return found

    @property
    def prepares(self) -> bool:
        """Whether any layer need not run at every step."""
        return self._split > 0

    def prepare(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What enters the part that learns, the same at every step.

        (n, length, dimension) below a block; (n, 1, dimension) when only the head learns, of pooled texts; and the
        token ids themselves (n, length) when everything learns or the model cannot be cut.
        """
        if not self.prepares:
            return input_ids
        if self._split < len(self._blocks):
            return self._blocks.below(self._split, input_ids, attention_mask)
        hidden, pooling = self.tower.hidden(input_ids, attention_mask), self.tower.pooling
        return hidden if pooling.learns else pooling(hidden, attention_mask)[:, None]

    def finish(self, prepared: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (n, dimension) of what `prepare` gave."""
        if not self.prepares:
            return self.forward(prepared, attention_mask)
        if self._split == len(self._blocks):
            pooling = self.tower.pooling
            return self.tower.vectors(pooling(prepared, attention_mask) if pooling.learns else prepared[:, 0])
        hidden = self._blocks.above(self._split, prepared, attention_mask)
        return self.tower.vectors(self.tower.pooling(hidden, attention_mask))

    def prepared_lengths(self, lengths: Tensor) -> Tensor:
        """How many rows `prepare` gives texts of so many tokens: int64 (n,) each."""
        is_pooled = self._split == len(self._blocks) and not self.tower.pooling.learns
        return torch.ones_like(lengths) if is_pooled else lengths

    def encodings(self, texts: Sequence[str]) -> list[Encoding]:
        """What the tokenizer makes of each text, cut off at max_tokens."""
        return self.tokenizer.encode_batch(list(texts))

    def ids(self, encoding: Encoding) -> list[int]:
        """The token ids of a text, at least one: a tokenizer without special tokens gives none for an empty text."""
        return encoding.ids or [self._instead_of_nothing]

    def tokens(self, texts: Sequence[str]) -> list[Tensor]:
        """The token ids of each text: int64 (length,), 1 ≤ length ≤ max_tokens."""
        return [torch.tensor(self.ids(encoding)) for encoding in self.encodings(texts)]

    def train(self, mode: bool = True) -> Self:
        """Dropout is active in what learns, and nowhere else: what is below was prepared without."""
        super().train(False)
        for part in self._learning:
            part.train(mode)
        self.training = mode
        return self

    def trained_parameters(self) -> list[nn.Parameter]:
        """What an optimiser may change."""
        return [weight for weight in self.parameters() if weight.requires_grad]

    def trained_state(self) -> dict[str, Tensor]:
        """A copy of everything that learns, on the CPU."""
        return {
            name: weight.detach().to("cpu", copy=True)
            for name, weight in self.named_parameters()
            if weight.requires_grad
        }

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `trained_state` gave. Raises DataError when it is that of another encoder or method."""
        learns = {name: weight for name, weight in self.named_parameters() if weight.requires_grad}
        expected = {name: weight.shape for name, weight in learns.items()}
        found = {name: weight.shape for name, weight in state.items()}
        if differing := sorted(name for name, _ in found.items() ^ expected.items()):
            raise DataError(
                f"trained weights: found {len(found)}, expected {len(expected)} of other names or shapes, such as "
                f"{differing[0]}; they are of another encoder or finetune.method, remove them and train anew"
            )
        with torch.no_grad():
            for name, weight in learns.items():
                weight.copy_(state[name])

    def merged(self) -> ItemTower:
        """A copy to export, on the CPU: LoRA added into the weights, no dropout, no gradients, eager attention."""
        model = merged(self.tower.model)
        # Of the other kernels those of sliding windows export to something else where a text is padded.
        model.set_attn_implementation("eager")  # type: ignore[operator]
        pooling, head = copy.deepcopy(self.tower.pooling), copy.deepcopy(self.tower.head)
        return ItemTower(model, pooling, head).eval().requires_grad_(False).cpu()

    def _working_split(self, split: int) -> int:
        """`split` when the model can be cut there, else 0: all of it runs at every step."""
        if not 0 < split < len(self._blocks):
            return split
        probes = self.tokens(PROBES)
        ids = pad_sequence(probes, batch_first=True)
        mask = pad_sequence([torch.ones_like(probe) for probe in probes], batch_first=True)
        return split if can_be_cut(self._blocks, split, ids, mask, tolerance=TOLERANCE) else 0
