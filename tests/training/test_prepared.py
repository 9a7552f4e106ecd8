from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.config import Finetune, Text
from recsys.errors import DataError
from tests.training.families import write_encoder
from training import prepared as module
from training.encoder import TextEncoder
from training.prepared import PreparedTexts

TEXTS = ["red mug", "a very long description of a blue garden chair with many words in it", "lamp", ""]
METHODS = ["head", "last_layers", "lora", "full"]


def encoder(folder: Path, *, pooling: Any = "mean", max_tokens: int = 32, **tune: Any) -> TextEncoder:
    return TextEncoder(folder, Text(max_tokens=max_tokens, pooling=pooling), Finetune(**{"trained_layers": 1} | tune))


def one_by_one(own: TextEncoder, texts: list[str]) -> torch.Tensor:
    """The whole encoder, without padding and without anything prepared."""
    with torch.no_grad():
        return torch.cat([own(tokens[None], torch.ones_like(tokens[None])) for tokens in own.tokens(texts)])


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("method", METHODS)
def test_prepared_texts_give_the_vectors_of_the_whole_encoder_in_the_order_asked_for(tiny_encoder, method, pooling):
    own = encoder(tiny_encoder, method=method, pooling=pooling)
    prepared, expected = PreparedTexts(own, TEXTS), one_by_one(own, TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(prepared.encode([3, 0, 1]), expected[[3, 0, 1]])
    vectors = prepared.encode_all()
    torch.testing.assert_close(vectors, expected)
    assert not vectors.requires_grad
    np.testing.assert_allclose(vectors.norm(dim=1).numpy(), 1, rtol=1e-5)


def test_an_encoder_that_cannot_be_cut_runs_whole_and_gives_the_same_vectors(tmp_path):
    own = encoder(write_encoder(tmp_path, "deberta-v2", conv_kernel_size=3, conv_act="gelu"))
    assert not own.prepares
    prepared = PreparedTexts(own, TEXTS)
    torch.testing.assert_close(prepared.encode_all(), one_by_one(own, TEXTS))
    prepared.encode([0, 1]).sum().backward()
    assert {name.split(".")[4] for name, weight in own.named_parameters() if weight.grad is not None} == {"2"}


def test_frozen_layers_run_once_an_item_and_trained_ones_at_every_step(tiny_encoder):
    own = encoder(tiny_encoder)
    ran = [0, 0]

    def count(at: int, rows: int) -> None:
        ran[at] += rows

    for at, block in enumerate(own.tower.model.encoder.layer):
        block.register_forward_hook(lambda _, given, __, at=at: count(at, len(given[0])))
    prepared = PreparedTexts(own, TEXTS)
    assert ran == [4, 0]
    prepared.encode([0, 1, 2])
    prepared.encode_all()
    assert ran == [4, 3 + 4]


def test_with_a_head_one_row_an_item_is_kept(tiny_encoder):
    assert PreparedTexts(encoder(tiny_encoder, method="head"), TEXTS).bytes == 4 * 32 * 4
    # Learned pooling needs every token: 4, 16, 3 and 2 of them.
    assert PreparedTexts(encoder(tiny_encoder, method="head", pooling="attention"), TEXTS).bytes == 25 * 32 * 4


@pytest.mark.parametrize("method", METHODS)
def test_an_item_asked_for_twice_is_encoded_once_and_learns_from_both(tiny_encoder, method, monkeypatch):
    own = encoder(tiny_encoder, method=method)
    prepared = PreparedTexts(own, TEXTS)
    rows: list[int] = []
    finish = own.finish
    monkeypatch.setattr(own, "finish", lambda *given: rows.append(len(given[0])) or finish(*given))
    goal = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    vectors = prepared.encode([2, 0, 2])
    assert sum(rows) == 2
    assert torch.equal(vectors[0], vectors[2])
    (vectors @ goal.sum(0)).sum().backward()
    twice = [weight.grad.clone() for weight in own.trained_parameters()]
    own.zero_grad()
    (prepared.encode([0, 2]) @ goal.sum(0) * torch.tensor([1.0, 2.0])).sum().backward()
    torch.testing.assert_close(twice, [weight.grad for weight in own.trained_parameters()])


def test_a_catalogue_larger_than_one_batch_is_encoded_whole(tiny_encoder, monkeypatch):
    own = encoder(tiny_encoder)
    at_once = PreparedTexts(own, TEXTS).encode_all()
    monkeypatch.setattr(module, "ITEMS_AT_ONCE", 3)
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 3)
    torch.testing.assert_close(PreparedTexts(own, TEXTS).encode_all(), at_once)


@pytest.mark.parametrize("method", METHODS)
def test_the_catalogue_is_encoded_without_dropout_even_while_the_encoder_learns(tiny_encoder, method):
    own = encoder(tiny_encoder, method=method, dropout=0.5)
    prepared = PreparedTexts(own, TEXTS)
    with torch.no_grad():
        for weight in own.trained_parameters():
            weight.add_(0.01)
    expected = prepared.encode_all()
    own.train()
    torch.testing.assert_close(prepared.encode_all(), expected, rtol=0, atol=0)
    assert own.training
    assert not torch.equal(prepared.encode(range(4)), expected)


def test_texts_of_like_length_run_together(tiny_encoder, monkeypatch):
    own = encoder(tiny_encoder, method="full")
    prepared = PreparedTexts(own, ["lamp", "a very long text about a lamp"] * 3)
    monkeypatch.setattr(module, "ITEMS_AT_ONCE", 3)
    shapes: list[tuple[int, ...]] = []
    finish = own.finish
    monkeypatch.setattr(own, "finish", lambda *given: shapes.append(tuple(given[0].shape)) or finish(*given))
    prepared.encode_all()
    assert shapes == [(3, 3), (3, 9)]


def test_what_does_not_fit_into_memory_lies_in_a_file_that_leaves_nothing_behind(tiny_encoder, tmp_path, monkeypatch):
    own = encoder(tiny_encoder)
    usual = PreparedTexts(own, TEXTS)
    monkeypatch.setattr(module, "BYTES_IN_MEMORY", 25 * 32 * 4 - 1)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    opened: list[Any] = []
    memmap = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *given, **named: opened.append(memmap(*given, **named)) or opened[-1])
    prepared = PreparedTexts(own, TEXTS)
    assert [file.shape for file in opened] == [(25, 32)]
    torch.testing.assert_close(prepared.encode_all(), usual.encode_all(), rtol=0, atol=0)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_that_is_too_small_is_named(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BYTES_IN_MEMORY", 0)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 3199}))
    with pytest.raises(DataError, match=rf"{tmp_path}: 3199 bytes are free, the prepared texts take 3200; set TMPDIR"):
        PreparedTexts(encoder(tiny_encoder), TEXTS)


@pytest.mark.parametrize("method", METHODS)
def test_a_catalogue_without_items_has_no_vectors(tiny_encoder, method):
    prepared = PreparedTexts(encoder(tiny_encoder, method=method), [])
    assert prepared.encode_all().shape == prepared.encode([]).shape == (0, 32)
    assert prepared.counts == {"items": 0, "empty": 0, "cut": 0}


ODD = {
    "empty": "",
    "spaces": " \t\n ",
    "control characters": "\x00\x07\x1b\x7f",
    "10,000 characters": "mug " * 2500,
    "one word of 10,000 characters": "m" * 10_000,
    "emoji": "😀🎉🏳️‍🌈",
    "Chinese": "红色的马克杯和一把蓝色的花园椅子",
    "half a character": "\u0301",
}


@pytest.mark.parametrize("method", METHODS)
def test_texts_of_any_kind_become_finite_unit_vectors(tiny_encoder, method):
    prepared = PreparedTexts(encoder(tiny_encoder, method=method), list(ODD.values()))
    vectors = prepared.encode_all()
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(ODD)))


@pytest.mark.parametrize(
    ("text", "empty", "cut"),
    [
        (ODD["empty"], 1, 0),
        (ODD["spaces"], 1, 0),
        (ODD["control characters"], 1, 0),
        (ODD["10,000 characters"], 0, 1),
        (ODD["one word of 10,000 characters"], 0, 0),
        (ODD["emoji"], 0, 0),
        ("one two three four", 0, 0),
        ("one two three four five", 0, 1),
    ],
)
def test_empty_texts_and_those_that_were_cut_off_are_counted(tiny_encoder, text, empty, cut):
    # Two of the six tokens stand around the text.
    own = encoder(tiny_encoder, max_tokens=6)
    assert PreparedTexts(own, ["lamp", text]).counts == {"items": 2, "empty": empty, "cut": cut}


def test_a_tokenizer_that_gives_no_token_for_an_empty_text_still_gives_a_vector(tiny_encoder):
    own = encoder(tiny_encoder)
    own.tokenizer.post_processor = None
    assert own.tokenizer.encode("").ids == []
    prepared = PreparedTexts(own, ["", "lamp"])
    assert prepared.counts["empty"] == 1
    torch.testing.assert_close(prepared.encode_all().norm(dim=1), torch.ones(2))
    assert [len(tokens) for tokens in own.tokens(["", "lamp"])] == [1, 1]


def test_many_items_show_how_far_preparing_them_is(tiny_encoder, monkeypatch, capsys):
    PreparedTexts(encoder(tiny_encoder), TEXTS)
    assert "preparing" not in capsys.readouterr().err
    monkeypatch.setattr(module, "ITEMS_WORTH_A_BAR", 4)
    PreparedTexts(encoder(tiny_encoder), TEXTS)
    assert "preparing the texts" in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_steps_in_the_half_precision_of_a_gpu_stay_near_the_exact_ones(tiny_encoder, method):
    own = encoder(tiny_encoder, method=method, pooling="attention")
    prepared = PreparedTexts(own, TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        ids, mask = prepared._prepared.gather(torch.arange(4), torch.device("cpu"))
        fast = own.finish(ids, mask)
    torch.testing.assert_close(fast.float(), prepared.encode_all(), rtol=0, atol=0.02)
