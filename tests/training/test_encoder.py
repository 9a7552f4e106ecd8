import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel

from recsys.config import Finetune, Text
from recsys.interest import onnx_session
from tests.training.families import FAMILIES, write_encoder
from training.encoder import TextEncoder

TEXTS = ["red mug", "a very long description of a blue garden chair with many words in it", "lamp", ""]


def encoder(folder: Path, *, max_tokens: int = 32, pooling: Any = "mean", **tune: Any) -> TextEncoder:
    return TextEncoder(folder, Text(max_tokens=max_tokens, pooling=pooling), Finetune(**{"trained_layers": 1} | tune))


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_what_hugging_face_computes_pooled_and_of_unit_length(tmp_path, family):
    folder = write_encoder(tmp_path, family)
    ids = torch.tensor([[101, 2417, 14757, 102], [101, 2829, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = torch.stack([hidden[0].mean(0), hidden[1, :3].mean(0)])
        for pooling, expected in (("mean", mean), ("cls", hidden[:, 0]), ("attention", mean)):
            own = encoder(folder, pooling=pooling)
            torch.testing.assert_close(own(ids, mask), nn.functional.normalize(expected, dim=1))
            assert own.dimension == 32


@pytest.mark.parametrize("family", FAMILIES)
def test_all_but_the_trained_layers_of_any_family_run_once(tmp_path, family):
    assert encoder(write_encoder(tmp_path, family)).prepares


@pytest.mark.parametrize(
    ("family", "method", "pooling"),
    [
        ("bert", "last_layers", "cls"),
        ("xlm-roberta", "full", "mean"),
        ("deberta-v2", "lora", "mean"),
        ("modernbert", "head", "attention"),
    ],
)
def test_the_merged_encoder_of_each_family_exports_to_onnx_for_any_number_and_length_of_texts(
    tmp_path, family, method, pooling
):
    own = encoder(write_encoder(tmp_path, family), method=method, pooling=pooling)
    with torch.no_grad():
        for weight in own.trained_parameters():
            weight.add_(torch.randn_like(weight), alpha=0.05)
    path = tmp_path / "encoder.onnx"
    ids = torch.tensor([[101, 2417, 14757, 102], [101, 2829, 102, 0]])
    shape = {0: torch.export.Dim("rows", min=1, max=4096), 1: torch.export.Dim("length", min=2, max=512)}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            own.merged(),
            kwargs={"input_ids": ids, "attention_mask": (ids > 0).long()},
            dynamic_shapes={"input_ids": shape, "attention_mask": shape},
            input_names=["input_ids", "attention_mask"],
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(path)
    for rows, length in ((1, 2), (3, 40)):
        ids = torch.randint(1000, 20_000, (rows, length), generator=torch.Generator().manual_seed(0))
        mask = (torch.arange(length) < torch.tensor([length, 5, 20])[:rows, None]).long()
        with torch.no_grad():
            expected = own(ids, mask).numpy()
        inputs = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        (found,) = onnx_session(path).run(None, inputs)
        np.testing.assert_allclose(found, expected, atol=1e-4)


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
