"""Export the text model to ONNX for serving, each file checked against torch.

Writes item_encoder.onnx   input_ids, attention_mask (n, length) → vectors (n, d)
       scorer.onnx         history (h, d), last (h,), candidates (n, d) → signals (n, 3)
       tokenizer.json
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from recsys.bundle_files import ENCODER_FILE, SCORER_FILE, TOKENIZER_FILE
from recsys.errors import BundleError
from recsys.interest import onnx_session
from training.encoder import TextEncoder
from training.user_tower import LateInteraction

TOLERANCE = 1e-4
OPSET = 18


def export_encoder(encoder: TextEncoder, folder: Path) -> float:
    """Write item_encoder.onnx and tokenizer.json; returns the largest difference to torch, at most TOLERANCE."""
    encoder.tokenizer.save(str(folder / TOKENIZER_FILE))
    # Two texts of unlike length: padding must not change a vector.
    ids = torch.randint(1000, 2000, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    rows, length = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("length", min=2, max=512)
    inputs = {"input_ids": ids, "attention_mask": mask}
    shapes = {name: {0: rows, 1: length} for name in inputs}
    return _export(encoder.merged(), inputs, shapes, "vectors", folder / ENCODER_FILE)


def export_scorer(dimension: int, folder: Path) -> float:
    """Write scorer.onnx; returns the largest difference to torch, at most TOLERANCE."""
    generator = torch.Generator().manual_seed(0)

    def unit(rows: int) -> Tensor:
        return nn.functional.normalize(torch.randn(rows, dimension, generator=generator), dim=1)

    inputs = {"history": unit(5), "last": torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]), "candidates": unit(7)}
    history, candidates = torch.export.Dim("history", min=1), torch.export.Dim("candidates", min=1)
    shapes = {"history": {0: history}, "last": {0: history}, "candidates": {0: candidates}}
    return _export(LateInteraction().eval(), inputs, shapes, "signals", folder / SCORER_FILE)


def _export(
    module: nn.Module, inputs: Mapping[str, Tensor], shapes: Mapping[str, object], output: str, path: Path
) -> float:
    # The exporter reports its steps on stdout and warns of its own future.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            kwargs=dict(inputs),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=dict(shapes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)
    return check_against_torch(module, inputs, path)


def check_against_torch(module: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> float:
    """The largest difference between torch and the ONNX file. Raises BundleError above TOLERANCE."""
    with torch.no_grad():
        expected = module(**inputs).numpy()
    (found,) = onnx_session(path).run(None, {name: value.numpy() for name, value in inputs.items()})
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise BundleError(f"{path}: differs from torch by {difference:.2g}, expected at most {TOLERANCE}; not used")
    return difference
