import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel

from recsys.errors import ConfigError, DataError
from training import encoder as encoder_module
from training.encoder import PreparedTexts, TextEncoder, encoder_folder

TEXTS = ["red mug", "a very long description of a blue garden chair with many words in it", "lamp", ""]


def encoder(folder: Path, *, trained_layers: int = 1, max_tokens: int = 32) -> TextEncoder:
    return TextEncoder(folder, trained_layers=trained_layers, max_tokens=max_tokens)


def changed_copy(folder: Path, copy: Path, **config: object) -> Path:
    """The encoder with another config.json."""
    shutil.copytree(folder, copy)
    found = json.loads((folder / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(found | config))
    return copy


@pytest.fixture
def fake_package(tmp_path, monkeypatch) -> Path:
    """An installed package that holds some bytes as its weights, and whose hash is the expected one."""
    weights = tmp_path / "fake_encoder" / "model" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    (tmp_path / "fake_encoder" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(encoder_module, "PACKAGED_ENCODER", "fake_encoder")
    monkeypatch.setattr(encoder_module, "PACKAGED_SHA256", sha256(b"weights").hexdigest())
    return weights


def test_the_packaged_encoder_is_the_published_one():
    assert (encoder_folder(None, Path()) / "tokenizer.json").exists()


def test_packaged_weights_with_the_expected_hash_are_taken(fake_package):
    assert encoder_folder(None, Path()) == fake_package.parent


def test_packaged_weights_with_one_changed_byte_are_refused(fake_package):
    fake_package.write_bytes(b"weightz")
    expected = sha256(b"weights").hexdigest()
    with pytest.raises(
        DataError, match=rf"model.safetensors: SHA-256 is {sha256(b'weightz').hexdigest()}, expected {expected}"
    ):
        encoder_folder(None, Path())


def test_packaged_weights_that_are_gone_are_named(fake_package):
    fake_package.unlink()
    with pytest.raises(DataError, match=r"model\.safetensors is missing"):
        encoder_folder(None, Path())


def test_without_the_package_the_error_names_both_ways_out(monkeypatch):
    monkeypatch.setattr(encoder_module, "PACKAGED_ENCODER", "no_such_package")
    with pytest.raises(DataError, match=r"no_such_package is not installed; install recsys\[train\] or set text"):
        encoder_folder(None, Path())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_configured_encoder_without_one_of_its_files_is_refused_by_the_name_of_the_file(tmp_path, tiny_encoder, name):
    copy = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (copy / name).unlink()
    with pytest.raises(DataError, match=rf"encoder/{name} is missing; expected a Hugging Face encoder"):
        encoder_folder("encoder", tmp_path)


def test_a_configured_encoder_is_looked_for_beside_recsys_toml(tmp_path, tiny_encoder):
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    assert encoder_folder("encoder", tmp_path) == tmp_path / "encoder"


@pytest.mark.parametrize("model_type", ["mpnet", "distilbert", "gpt2", None])
def test_an_encoder_of_another_architecture_is_refused(tmp_path, tiny_encoder, model_type):
    copy = changed_copy(tiny_encoder, tmp_path / "encoder", model_type=model_type)
    with pytest.raises(DataError, match=rf"config.json: model_type is {model_type!r}, expected one of \('bert',"):
        encoder(copy)


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


@pytest.mark.parametrize(("trained_layers", "frozen"), [(1, 1), (2, 0), (5, 0)])
def test_only_the_upper_layers_are_trained(tiny_encoder, trained_layers, frozen):
    own = encoder(tiny_encoder, trained_layers=trained_layers)
    assert len(own.frozen) == frozen
    PreparedTexts(own, TEXTS).encode([0, 1]).sum().backward()
    for name, weight in own.named_parameters():
        assert weight.requires_grad == (weight.grad is not None) == name.startswith("trained."), name


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
    monkeypatch.setattr(encoder_module, "ITEMS_AT_ONCE", 3)
    torch.testing.assert_close(PreparedTexts(own, TEXTS).encode_all(), at_once)
