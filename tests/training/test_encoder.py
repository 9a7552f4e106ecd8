import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModel

from recsys.config import Finetune, Text
from recsys.errors import ConfigError
from training.encoder import TextEncoder

TEXTS = ["red mug", "a very long description of a blue garden chair with many words in it", "lamp", ""]


def encoder(folder: Path, *, max_tokens: int = 32, **tune: Any) -> TextEncoder:
    return TextEncoder(folder, Text(max_tokens=max_tokens), Finetune(**{"trained_layers": 1} | tune))


def changed_copy(folder: Path, copy: Path, **config: object) -> Path:
    """The encoder with another config.json."""
    shutil.copytree(folder, copy)
    found = json.loads((folder / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(found | config))
    return copy


def test_more_tokens_than_the_encoder_can_read_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match=r"text.max_tokens is 513, the encoder in .* reads at most 512"):
        encoder(tiny_encoder, max_tokens=513)


def test_vectors_are_the_mean_over_the_tokens_of_what_hugging_face_computes(tiny_encoder):
    own = encoder(tiny_encoder)
    ids = torch.tensor([[101, 2417, 14757, 102], [101, 2829, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(tiny_encoder).eval()(input_ids=ids, attention_mask=mask).last_hidden_state
        expected = torch.stack([hidden[0].mean(0), hidden[1, :3].mean(0)])
        torch.testing.assert_close(own(ids, mask), nn.functional.normalize(expected, dim=1))


def test_padding_does_not_change_a_vector(tiny_encoder):
    own = encoder(tiny_encoder)
    ids = torch.tensor([[101, 2417, 102]])
    padded = torch.tensor([[101, 2417, 102, 0, 0, 0]])
    with torch.no_grad():
        alone = own(ids, torch.ones_like(ids))
        torch.testing.assert_close(own(padded, (padded > 0).long()), alone)


def test_texts_are_cut_off_at_max_tokens(tiny_encoder):
    lengths = [len(tokens) for tokens in encoder(tiny_encoder, max_tokens=6).tokens(TEXTS)]
    assert lengths == [4, 6, 3, 2]
