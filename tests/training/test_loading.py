import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recsys.config import Finetune, Text
from recsys.errors import ConfigError, DataError
from tests.training.families import write_encoder
from training.encoder import TextEncoder
from training.prepared import PreparedTexts


def encoder(folder: Path, *, max_tokens: int = 32) -> TextEncoder:
    return TextEncoder(folder, Text(max_tokens=max_tokens), Finetune())


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
    assert [len(tokens) for tokens in encoder(tiny_encoder, max_tokens=3).tokens(["red mug", ""])] == [3, 2]


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


def test_weights_in_half_precision_are_read_in_full(tmp_path, tiny_encoder):
    copy = changed_copy(tiny_encoder, tmp_path / "encoder", dtype="float16")
    weights = {name: weight.half() for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert {weight.dtype for weight in encoder(copy).parameters()} == {torch.float32}
