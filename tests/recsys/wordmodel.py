"""An item encoder that can be worked out by hand: a text is the sum of the vectors of its words, at unit length."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from recsys.bundle_files import ENCODER_FILE, TOKENIZER_FILE
from recsys.encoder import ItemEncoder

OPSET = 18
UNKNOWN = "?"


def write_word_model(folder: Path, words: Mapping[str, Sequence[float]]) -> None:
    """item_encoder.onnx and tokenizer.json of words with spaces between them; every other word is nothing (zeros)."""
    vocabulary = {UNKNOWN: 0} | {word: at for at, word in enumerate(words, start=1)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / TOKENIZER_FILE))
    vectors = np.array([np.zeros(len(next(iter(words.values())))), *words.values()], dtype=np.float32)
    onnx.save(_model(vectors), folder / ENCODER_FILE)


def word_encoder(folder: Path, words: Mapping[str, Sequence[float]], *, max_tokens: int = 8) -> ItemEncoder:
    write_word_model(folder, words)
    return ItemEncoder(folder / ENCODER_FILE, folder / TOKENIZER_FILE, max_tokens=max_tokens)


def _model(vectors: np.ndarray) -> onnx.ModelProto:
    constants = {"table": vectors, "last": np.array([-1]), "second": np.array([1]), "tiny": np.float32([1e-12])}
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["hidden"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["hidden", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "second"], ["sum"], keepdims=0),
        helper.make_node("ReduceL2", ["sum", "last"], ["length"]),
        helper.make_node("Max", ["length", "tiny"], ["divisor"]),
        helper.make_node("Div", ["sum", "divisor"], ["vectors"]),
    ]
    ids, mask = (
        helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "length"])
        for name in ("input_ids", "attention_mask")
    )
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["rows", vectors.shape[1]])
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "words", [ids, mask], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
