"""A transformer cut in two below one of its blocks: what is below runs once an item, what is above at every step.

Nothing here knows a family of models. The model itself runs both times; the first time it is stopped at the cut, the
second time its list of blocks holds the upper ones alone, and what it gives the first of them is replaced. Whether that
is right for a model is measured by whoever cuts it (training.encoder).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recsys.errors import DataError


class _Reached(Exception):
    """The cut: the rest of the model need not run."""


@dataclass(frozen=True)
class Blocks:
    """The transformer blocks of a model, lowest first, and where the model keeps them."""

    model: nn.Module
    owner: nn.Module
    attribute: str
    modules: nn.ModuleList

    def __len__(self) -> int:
        return len(self.modules)

    def below(self, split: int, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What enters block `split`: (n, length, width)."""
        caught: list[Tensor] = []

        def stop(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            caught.append(arguments[0] if arguments else named["hidden_states"])
            raise _Reached

        hook = self.modules[split].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self.model(input_ids=input_ids, attention_mask=attention_mask)
        except _Reached:
            return caught[0]
        finally:
            hook.remove()
        raise AssertionError(f"block {split} was never reached")

    def above(self, split: int, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """The last hidden states (n, length, width) of what `below` gave."""

        def enter(
            _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return ((hidden, *arguments[1:]), named) if arguments else (arguments, named | {"hidden_states": hidden})

        # The model still makes masks and positions for its blocks; what it embeds for that is thrown away.
        ignored = hidden.new_zeros(*hidden.shape[:2], self.model.get_input_embeddings().embedding_dim)  # type: ignore[operator]
        hook = self.modules[split].register_forward_pre_hook(enter, with_kwargs=True)
        try:
            with self._only_from(split):
                out = self.model(inputs_embeds=ignored, attention_mask=attention_mask)
        finally:
            hook.remove()
        found: Tensor = out.last_hidden_state
        return found

    @contextmanager
    def _only_from(self, split: int) -> Iterator[None]:
        setattr(self.owner, self.attribute, self.modules[split:])
        try:
            yield
        finally:
            setattr(self.owner, self.attribute, self.modules)


def find_blocks(model: nn.Module) -> Blocks:
    """The list of num_hidden_layers modules in a model. Raises DataError when there is none, as in ALBERT."""
    count = model.config.num_hidden_layers  # type: ignore[union-attr]
    for owner in model.modules():
        for attribute, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == count:
                return Blocks(model, owner, attribute, child)
    raise DataError(
        f"the encoder is a {type(model).__name__} without a list of its {count} transformer blocks; "
        "expected such as BERT, RoBERTa, DeBERTa or ModernBERT, set text.encoder to another"
    )


def can_be_cut(blocks: Blocks, split: int, input_ids: Tensor, attention_mask: Tensor, *, tolerance: float) -> bool:
    """Whether both halves together compute, for texts of unlike lengths, what the whole model does."""
    try:
        with torch.no_grad():
            whole = blocks.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            halves = blocks.above(split, blocks.below(split, input_ids, attention_mask), attention_mask)
    # A model that cannot be run this way may fail in any way; it is then run whole, which is slower and right.
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError):
        return False
    difference = (whole - halves)[attention_mask.bool()].abs().max()
    return bool(difference <= tolerance)
