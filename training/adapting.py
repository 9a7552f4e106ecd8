"""What learns of an encoder: a residual layer on top, the upper blocks, low-rank additions to all blocks, or all of it.

LoRA: Hu et al., "LoRA: low-rank adaptation of large language models", 2021.
"""

import copy

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import Tensor, nn

from recsys.config import Finetune
from training.blocks import Blocks


class ResidualHead(nn.Module):
    """x + Wx + b, where W and b start at zero: what it is given, it gives back until it has learned."""

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.addition = nn.Linear(dimension, dimension)
        nn.init.zeros_(self.addition.weight)
        nn.init.zeros_(self.addition.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, d) of (n, d)."""
        added: Tensor = self.addition(self.dropout(vectors))
        return vectors + added


def lowest_trained(tune: Finetune, blocks: int) -> int:
    """How many blocks lie below the lowest one that learns: `blocks` when none does."""
    if tune.method == "head":
        return blocks
    return max(blocks - tune.trained_layers, 0) if tune.method == "last_layers" else 0


def model_dropout(tune: Finetune) -> float:
    """The dropout inside the model: with head and LoRA what learns has one of its own."""
    return tune.dropout if tune.method in ("last_layers", "full") else 0.0


def adapted(blocks: Blocks, tune: Finetune) -> tuple[nn.Module, list[nn.Module]]:
    """The model with all but what learns of it frozen, and the parts that dropout may touch while they learn."""
    model = blocks.model.requires_grad_(tune.method == "full")
    if tune.method == "full":
        return model, [model]
    if tune.method == "last_layers":
        upper = list(blocks.modules[lowest_trained(tune, len(blocks)) :])
        for block in upper:
            block.requires_grad_(True)
        return model, upper
    if tune.method == "lora":
        model = _with_lora(blocks, tune)
        return model, [model]
    return model, []


def merged(model: nn.Module) -> nn.Module:
    """A copy of the model with what LoRA learned added into its weights."""
    copied = copy.deepcopy(model)
    return copied.merge_and_unload() if isinstance(copied, LoraModel) else copied


def _with_lora(blocks: Blocks, tune: Finetune) -> LoraModel:
    inside = {id(module) for module in blocks.modules.modules() if isinstance(module, nn.Linear)}
    names = [name for name, module in blocks.model.named_modules() if id(module) in inside]
    config = LoraConfig(
        r=tune.lora_rank, lora_alpha=2 * tune.lora_rank, lora_dropout=tune.dropout, target_modules=names
    )
    # One half of the additions starts at random, and the same seed must give the same model.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tune.seed)
        return LoraModel(blocks.model, config, "default")
