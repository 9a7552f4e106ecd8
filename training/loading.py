"""A pretrained encoder read from its folder: the model without what is not needed, the tokenizer with its limit.

Reads   config.json, model.safetensors, tokenizer.json
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from recsys.errors import ConfigError, DataError
from training.pretrained import CONFIG_FILE, TOKENIZER_FILE


def load_model(folder: Path, *, dropout: float) -> PreTrainedModel:
    """The encoder without a pooler, in float32 and in eval mode. Raises DataError for weights that are not there."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, int | float):
                setattr(config, name, dropout)
        model: PreTrainedModel
        model, loading = AutoModel.from_pretrained(
            folder,
            config=config,
            trust_remote_code=False,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{folder / CONFIG_FILE}: {reason}; expected a text encoder, see text.encoder") from error
    if missing := sorted(name for name in loading["missing_keys"] if not name.startswith("pooler.")):
        raise DataError(
            f"{folder}: the weights lack {missing[:3]} and {max(len(missing) - 3, 0)} more of {type(model).__name__}; "
            "expected those of the model in config.json, copy both again from one place"
        )
    if hasattr(model, "pooler"):
        setattr(model, "pooler", None)  # noqa: B010 - what a PreTrainedModel has is not known to the type checker
    model.eval()  # type: ignore[no-untyped-call]
    return model


def load_tokenizer(folder: Path, max_tokens: int, model: PreTrainedModel) -> Tokenizer:
    """The tokenizer, which cuts off at max_tokens. Raises DataError or ConfigError when the model cannot read that."""
    path = folder / TOKENIZER_FILE
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises nothing more specific.
        raise DataError(f"{path}: {error}; expected a tokenizer of Hugging Face, copy it again") from error
    known: int = model.get_input_embeddings().num_embeddings  # type: ignore[assignment]
    if tokenizer.get_vocab_size() > known:
        raise DataError(
            f"{path}: {tokenizer.get_vocab_size()} tokens, the model knows {known}; copy both again from one place"
        )
    positions = _positions(model)
    if positions is not None and max_tokens > positions:
        raise ConfigError(f"text.max_tokens is {max_tokens}, the encoder in {folder} reads at most {positions}")
    around = tokenizer.num_special_tokens_to_add(False)
    if max_tokens <= around:
        raise ConfigError(f"text.max_tokens is {max_tokens}, the encoder in {folder} puts {around} around each text")
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _positions(model: nn.Module) -> int | None:
    """How many tokens have a position; None where positions are relative."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # The RoBERTa family counts from behind the padding token.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None
