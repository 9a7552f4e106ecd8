import contextlib
import io
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from recsys.config import Finetune, Text
from recsys.errors import ConfigError, DataError
from recsys.interest import onnx_session
from tests.training.families import FAMILIES, write_encoder
from training.encoder import TextEncoder
from training.prepared import PreparedTexts

TEXTS = ["red mug", "a very long description of a blue garden chair with many words in it", "lamp", ""]


def encoder(folder: Path, *, max_tokens: int = 32, pooling: Any = "mean", **tune: Any) -> TextEncoder:
    return TextEncoder(folder, Text(max_tokens=max_tokens, pooling=pooling), Finetune(**{"trained_layers": 1} | tune))


def changed_copy(folder: Path, copy: Path, **config: object) -> Path:
    """The encoder with another config.json."""
    shutil.copytree(folder, copy)
    found = json.loads((folder / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(found | config))
    return copy


def test_more_tokens_than_the_encoder_can_read_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match=r"text.max_tokens is 513, the encoder in .* reads at most 512"):
        encoder(tiny_encoder, max_tokens=513)


@pytest.mark.parametrize(("family", "limit"), [("roberta", 512), ("xlm-roberta", 512), ("mpnet", 510)])
def test_positions_that_a_family_keeps_for_itself_are_not_for_texts(tmp_path, family, limit):
    folder = write_encoder(tmp_path, family)
    longest = encoder(folder, max_tokens=limit)
    assert PreparedTexts(longest, ["lamp " * 600]).encode_all().isfinite().all()
    with pytest.raises(ConfigError, match=rf"text.max_tokens is {limit + 1}, .* reads at most {limit}"):
        encoder(folder, max_tokens=limit + 1)


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert"])
def test_relative_positions_have_no_limit(tmp_path, family):
    own = encoder(write_encoder(tmp_path, family, max_position_embeddings=64), max_tokens=200)
    prepared = PreparedTexts(own, ["lamp " * 150])
    assert prepared.counts["cut"] == 0
    assert prepared.encode_all().isfinite().all()


def test_so_few_tokens_that_nothing_of_a_text_is_left_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match=r"text.max_tokens is 2, the encoder in .* puts 2 around each text"):
        encoder(tiny_encoder, max_tokens=2)
    assert [len(tokens) for tokens in encoder(tiny_encoder, max_tokens=3).tokens(TEXTS)] == [3, 3, 3, 2]


def test_a_tokenizer_with_more_tokens_than_the_model_knows_is_refused(tmp_path):
    folder = write_encoder(tmp_path, "bert", vocab_size=30_000)
    with pytest.raises(DataError, match=r"tokenizer.json: 30522 tokens, the model knows 30000; copy both"):
        encoder(folder)


def test_a_tokenizer_that_is_none_is_refused(tmp_path, tiny_encoder):
    copy = changed_copy(tiny_encoder, tmp_path / "encoder")
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer.json: .*; expected a tokenizer of Hugging Face"):
        encoder(copy)


def test_weights_of_another_model_are_refused_by_the_names_of_what_they_lack(tmp_path, tiny_encoder):
    copy = changed_copy(tiny_encoder, tmp_path / "encoder")
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"the weights lack \['encoder.layer.1.output.dense.weight'\] and 0 more"):
        encoder(copy)


@pytest.mark.parametrize("model_type", ["no-such-model", None])
def test_a_model_that_nobody_knows_is_refused_by_its_config(tmp_path, tiny_encoder, model_type):
    copy = changed_copy(tiny_encoder, tmp_path / "encoder", model_type=model_type)
    with pytest.raises(DataError, match=rf"config.json: .* model type `{model_type}` .*; expected a text encoder"):
        encoder(copy)


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


def test_weights_in_half_precision_are_read_in_full(tmp_path, tiny_encoder):
    copy = changed_copy(tiny_encoder, tmp_path / "encoder", dtype="float16")
    weights = {name: weight.half() for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert {weight.dtype for weight in encoder(copy).parameters()} == {torch.float32}


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
