from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto
from tokenizers import Tokenizer
from torch import Tensor, nn

from recsys.bundle_files import ENCODER_FILE, FP16_ENCODER_FILE, INT8_ENCODER_FILE, TOKENIZER_FILE
from recsys.config import Finetune, Text
from recsys.encoder import ItemEncoder
from recsys.errors import BundleError
from recsys.interest import onnx_session
from tests.training.families import write_encoder
from training import export
from training.encoder import TextEncoder
from training.export import TOLERANCE, check_against_torch, export_encoder

TEXTS = [f"{colour} {thing}" for colour in ("red", "blue", "pale green") for thing in ("lamp", "mug of tea", "")]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> TextEncoder:
    return TextEncoder(tiny_encoder, Text(max_tokens=12), Finetune(trained_layers=1))


@pytest.fixture(scope="module")
def exported(encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the encoder in float32."""
    folder = tmp_path_factory.mktemp("onnx")
    assert export_encoder(encoder, folder)["fp32"]["difference"] <= TOLERANCE
    return folder


def encode(path: Path) -> np.ndarray:
    return ItemEncoder(path, path.parent / TOKENIZER_FILE, max_tokens=12).encode(TEXTS)


def run(path: Path, **inputs: Tensor) -> np.ndarray:
    (found,) = onnx_session(path).run(None, {name: value.numpy() for name, value in inputs.items()})
    return found


@pytest.mark.parametrize(("rows", "length"), [(1, 2), (1, 512), (2, 9), (64, 3), (5, 40)])
def test_the_encoder_in_onnx_gives_the_vectors_of_torch_for_any_number_and_length_of_texts(
    encoder, exported, rows, length
):
    ids = torch.randint(1000, 20_000, (rows, length), generator=torch.Generator().manual_seed(1))
    # The first text is as long as there is room, the others are padded.
    mask = (torch.arange(length) < torch.arange(length, length - rows, -1)[:, None].clamp_min(1)).long()
    with torch.no_grad():
        expected = encoder(ids, mask).numpy()
    np.testing.assert_allclose(run(exported / ENCODER_FILE, input_ids=ids, attention_mask=mask), expected, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "deberta-v2", "modernbert"])
def test_every_family_is_exported_in_three_precisions_that_read_alike(family, tmp_path):
    encoder = TextEncoder(write_encoder(tmp_path, family), Text(max_tokens=12), Finetune())
    figures = export_encoder(encoder, tmp_path, texts=TEXTS, ndcg=lambda vectors: 0.5)
    assert figures["fp32"]["fused"]
    assert figures["fp16"]["kept"], figures
    assert figures["int8"]["kept"], figures
    assert figures["int8"]["bytes"] < figures["fp32"]["bytes"]
    expected = encode(tmp_path / ENCODER_FILE)
    assert np.abs(expected - expected.mean(axis=0)).max() > 0.05  # the texts are told apart at all
    for file, tolerance in ((FP16_ENCODER_FILE, 0.005), (INT8_ENCODER_FILE, 0.05)):
        np.testing.assert_allclose(encode(tmp_path / file), expected, atol=tolerance)


def test_without_validation_only_float32_is_exported(encoder, exported):
    figures = export_encoder(encoder, exported, texts=TEXTS)
    assert figures["int8"] == figures["fp16"]
    assert figures["int8"] == {
        "kept": False,
        "reason": "there are no validation cases: nothing to measure ndcg@10 on",
    }
    assert not (exported / INT8_ENCODER_FILE).exists()


def test_where_fusing_fails_the_graph_of_torch_is_taken(encoder, tmp_path, monkeypatch):
    def unknown_graph(model: ModelProto) -> ModelProto:
        raise TypeError("no such pattern")

    monkeypatch.setattr(export, "fused_for_cpu", unknown_graph)
    figures = export_encoder(encoder, tmp_path)
    assert not figures["fp32"]["fused"]
    assert figures["fp32"]["difference"] <= TOLERANCE


def test_the_tokenizer_is_exported_with_its_limit(encoder, exported):
    tokenizer = Tokenizer.from_file(str(exported / TOKENIZER_FILE))
    text = "a long description of a blue garden chair, far longer than the twelve tokens that are read of it"
    assert tokenizer.encode(text).ids == encoder.tokens([text])[0].tolist()
    assert len(tokenizer.encode(text).ids) == 12


class Other(nn.Module):
    """The encoder, and something else on top."""

    def __init__(self, tower: nn.Module, change: float) -> None:
        super().__init__()
        self.tower, self.change = tower, change

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.tower(input_ids, attention_mask) + self.change


INPUTS = {"input_ids": torch.tensor([[1000, 1001, 1002]]), "attention_mask": torch.ones(1, 3, dtype=torch.int64)}


def test_a_file_that_computes_something_else_than_torch_is_refused(encoder, exported):
    tower = encoder.merged()
    assert check_against_torch(tower, INPUTS, exported / ENCODER_FILE) <= TOLERANCE
    with pytest.raises(
        BundleError, match=r"item_encoder\.onnx: differs from torch by 0\.0002, expected at most 0\.0001"
    ):
        check_against_torch(Other(tower, 2 * TOLERANCE), INPUTS, exported / ENCODER_FILE)


def test_a_file_that_computes_no_number_is_refused(encoder, exported):
    with pytest.raises(BundleError, match="differs from torch by nan"):
        check_against_torch(Other(encoder.merged(), np.nan), INPUTS, exported / ENCODER_FILE)
