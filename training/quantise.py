"""Smaller files of an item encoder: float16 for a GPU, int8 for a CPU. Inputs stay int64, vectors float32.

Reads   the graph as torch exports it
Writes  item_encoder.fp16.onnx, item_encoder.int8.onnx
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnx_ir
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxscript.rewriter.ort_fusions import optimize_for_ort
from onnxscript.rewriter.ort_fusions.bias_gelu import fuse_bias_gelu
from onnxscript.rewriter.ort_fusions.erfgelu import fuse_erfgelu

from training.smoothing import Batch, smoothed


def fused_for_cpu(model: ModelProto) -> ModelProto:
    """GELU as one node; what else helps on a CPU, ONNX Runtime fuses at load. Fused attention is no faster there."""

    def fuse(graph: onnx_ir.Model) -> None:
        fuse_erfgelu(graph)
        fuse_bias_gelu(graph)

    return _rewritten(model, fuse)


def fused_for_gpu(model: ModelProto) -> ModelProto:
    """Attention, skip connection with layer norm, and GELU as one node each, where they are recognised."""
    return _rewritten(model, optimize_for_ort)


def write_fp16(model: ModelProto, path: Path) -> None:
    """The same in float16 inside. The model is used up."""
    with quiet():
        onnx.save(convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True), path)


def write_int8(model: ModelProto, path: Path, samples: Sequence[Batch]) -> None:
    """Weights of matrix products in int8, a scale for each output channel; activations are scaled as they come.

    `samples` are inputs of the model, from which it is learned which channels are far out.
    """
    with TemporaryDirectory() as folder, quiet():
        smooth = Path(folder) / "smooth.onnx"
        onnx.save(smoothed(model, samples), smooth)
        # Signed weights: unsigned ones miss the processor's fast dot product and take twice as long.
        quantize_dynamic(
            smooth,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            # Seven bits: without VNNI a processor adds two products in 16, and eight bits would overflow them unseen.
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The libraries of ONNX report their steps on stdout and in the log, and warn of their own future."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(level)


def _rewritten(model: ModelProto, rewrite: Callable[[onnx_ir.Model], object]) -> ModelProto:
    with quiet():
        graph = onnx_ir.from_proto(model)
        rewrite(graph)
        return onnx_ir.to_proto(graph)
