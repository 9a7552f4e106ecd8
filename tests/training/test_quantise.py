"""What the files compute is tested with the export of every family."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from recsys.bundle_files import ENCODER_FILE
from recsys.config import Finetune, Text
from training.encoder import TextEncoder
from training.export import export_encoder
from training.quantise import fused_for_cpu, fused_for_gpu, write_fp16, write_int8


@pytest.fixture(scope="module")
def model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("onnx")
    export_encoder(TextEncoder(tiny_encoder, Text(), Finetune()), folder)
    return onnx.load(folder / ENCODER_FILE)


def operators(model: onnx.ModelProto) -> Counter:
    return Counter(node.op_type for node in model.graph.node)


def test_both_layers_are_fused(model):
    assert operators(model)["BiasGelu"] == 2
    assert operators(fused_for_cpu(model)) == operators(model)  # there is nothing left to fuse
    assert operators(fused_for_gpu(model))["SkipLayerNormalization"] == 4


def test_float16_takes_half_the_room_and_keeps_inputs_and_outputs(model, tmp_path):
    onnx.save(model, tmp_path / "fp32.onnx")
    write_fp16(fused_for_gpu(model), tmp_path / "fp16.onnx")
    assert (tmp_path / "fp16.onnx").stat().st_size < 0.52 * (tmp_path / "fp32.onnx").stat().st_size
    half = onnx.load(tmp_path / "fp16.onnx")
    assert [value.type.tensor_type.elem_type for value in half.graph.input] == [onnx.TensorProto.INT64] * 2
    assert [value.type.tensor_type.elem_type for value in half.graph.output] == [onnx.TensorProto.FLOAT]


def test_all_six_products_of_both_layers_are_int8(model, tmp_path):
    ids = np.array([[1000, 2000, 3000]])
    write_int8(model, tmp_path / "int8.onnx", [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    assert operators(onnx.load(tmp_path / "int8.onnx"))["MatMulInteger"] == 12
