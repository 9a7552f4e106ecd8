from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsys.config import Finetune, Text
from training import prepared as module
from training.encoder import TextEncoder
from training.prepared import PreparedTexts

TEXTS = ["red mug", "a very long description of a blue garden chair with many words in it", "lamp", ""]


def encoder(folder: Path, *, max_tokens: int = 32, **tune: Any) -> TextEncoder:
    return TextEncoder(folder, Text(max_tokens=max_tokens), Finetune(**{"trained_layers": 1} | tune))


def test_prepared_texts_give_the_vectors_of_the_whole_encoder_in_the_order_asked_for(tiny_encoder):
    own = encoder(tiny_encoder)
    prepared = PreparedTexts(own, TEXTS)
    with torch.no_grad():
        expected = torch.cat([own(tokens[None], torch.ones_like(tokens[None])) for tokens in own.tokens(TEXTS)])
        torch.testing.assert_close(prepared.encode([3, 0, 1]), expected[[3, 0, 1]])
    vectors = prepared.encode_all()
    torch.testing.assert_close(vectors, expected)
    assert not vectors.requires_grad
    np.testing.assert_allclose(vectors.norm(dim=1).numpy(), 1, rtol=1e-5)


def test_a_catalogue_larger_than_one_batch_is_encoded_whole(tiny_encoder, monkeypatch):
    own = encoder(tiny_encoder)
    at_once = PreparedTexts(own, TEXTS).encode_all()
    monkeypatch.setattr(module, "ITEMS_AT_ONCE", 3)
    torch.testing.assert_close(PreparedTexts(own, TEXTS).encode_all(), at_once)
