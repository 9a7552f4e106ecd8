"""Export the item encoder to ONNX for serving, each file checked.

Writes item_encoder.onnx        input_ids, attention_mask (n, length) → vectors (n, d)
       item_encoder.fp16.onnx   the same for a GPU, if it ranks as well
       item_encoder.int8.onnx   the same for a CPU, if it ranks as well
       tokenizer.json
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from recsys.bundle_files import ENCODER_FILE, TOKENIZER_FILE
from recsys.errors import BundleError
from recsys.interest import onnx_session
from training.encoder import TextEncoder
from training.precisions import Ndcg, not_checked, write_checked
from training.quantise import fused_for_cpu, fused_for_gpu, quiet, write_fp16, write_int8
from training.smoothing import Batch

TOLERANCE = 1e-4
OPSET = 18

SAMPLES = 256
"""Texts from which it is learned how int8 should be scaled."""


def export_encoder(
    encoder: TextEncoder, folder: Path, *, texts: Sequence[str] = (), ndcg: Ndcg | None = None
) -> dict[str, dict[str, Any]]:
    """Write tokenizer.json, item_encoder.onnx and, of the smaller files, those that rank as well.

    texts  what the smaller files are checked on, such as those of the catalogue
    ndcg   ndcg@10 on validation of vectors of the texts, float32 (len(texts), d); None: it cannot be measured

    Returns figures for the manifest: {"fp32": {"difference", "fused", "bytes"}, "fp16": {"kept", "ndcg_change",
    "bytes", "reason" if it is not kept}, "int8": …}. Raises BundleError when fp32 differs from torch by more than
    TOLERANCE.
    """
    encoder.tokenizer.save(str(folder / TOKENIZER_FILE))
    # Two texts of unlike length: padding must not change a vector.
    vocabulary = min(2000, encoder.tokenizer.get_vocab_size())
    ids = torch.randint(vocabulary // 2, vocabulary, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    shapes = {name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in inputs}
    tower, path = encoder.merged(), folder / ENCODER_FILE
    write_onnx(tower, inputs, shapes, list(inputs), "vectors", path)
    difference = check_against_torch(tower, inputs, path)
    plain = onnx.load(path)

    def fused(fuse: Callable[[ModelProto], ModelProto]) -> ModelProto | None:
        """None where fusing computes something else, or knows no such graph."""
        with TemporaryDirectory() as temporary:
            attempt = Path(temporary) / ENCODER_FILE
            try:
                onnx.save(fuse(plain), attempt)
                check_against_torch(tower, inputs, attempt)
            except Exception as error:  # Each fusion has its own way not to know a graph.
                logging.getLogger(__name__).info("%s is not used: %s", fuse.__name__, error)
                return None
            return onnx.load(attempt)

    for_cpu = fused(fused_for_cpu)
    if for_cpu is not None:
        onnx.save(for_cpu, path)
        difference = check_against_torch(tower, inputs, path)
    figures: dict[str, dict[str, Any]] = {
        "fp32": {"difference": difference, "fused": for_cpu is not None, "bytes": path.stat().st_size}
    }
    if ndcg is None or not texts:
        return figures | not_checked("there are no validation cases: nothing to measure ndcg@10 on")
    writers = {
        "fp16": lambda path: write_fp16(fused(fused_for_gpu) or plain, path),
        "int8": lambda path: write_int8(for_cpu or plain, path, _samples(encoder, texts)),
    }
    truncation = encoder.tokenizer.truncation
    assert truncation is not None
    return figures | write_checked(folder, writers, max_tokens=truncation["max_length"], texts=texts, ndcg=ndcg)


def write_onnx(
    module: nn.Module,
    inputs: Mapping[str, Any],
    shapes: Mapping[str, object],
    names: Sequence[str],
    output: str,
    path: Path,
) -> None:
    """Write a module as ONNX with these dynamic axes; `names` are those of the inputs, one by one."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with quiet():
        program = torch.onnx.export(
            module,
            kwargs=dict(inputs),
            input_names=list(names),
            output_names=[output],
            dynamic_shapes=dict(shapes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)


def check_against_torch(module: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> float:
    """The largest difference between torch and the ONNX file. Raises BundleError above TOLERANCE."""
    with torch.no_grad():
        expected = module(**inputs).numpy()
    (found,) = onnx_session(path).run(None, {name: value.numpy() for name, value in inputs.items()})
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise BundleError(f"{path}: differs from torch by {difference:.2g}, expected at most {TOLERANCE}; not used")
    return difference


def _samples(encoder: TextEncoder, texts: Sequence[str]) -> list[Batch]:
    """Inputs of the encoder: at most SAMPLES of the texts, spread evenly, one at a time."""
    chosen = [texts[at] for at in np.unique(np.linspace(0, len(texts) - 1, SAMPLES).astype(np.int64))]
    ids = [tokens.numpy()[None] for tokens in encoder.tokens(chosen)]
    return [{"input_ids": one, "attention_mask": np.ones_like(one)} for one in ids]
