"""Export the trees of a LightGBM ranker to ONNX for serving, checked against LightGBM.

Writes ranker.onnx       features (n, n_features) → scores (n, 1), see recsys.trees
       ranker_rows.npy   float32 (n, n_features), on which a server measures which of the two is faster

ONNX Runtime compares and adds in the type of its input, so the features become float64 first: then every row takes the
branches that it takes in LightGBM, and 800 leaves are added without an error that float32 would make (1e-5).

It walks a tree in which a missing value needs no question in two thirds of the time. So the graph puts a number in the
place of NaN, and each split reads the copy of the features that it needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import lightgbm as lgb
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from recsys.bundle_files import RANKER_ONNX_FILE, RANKER_ROWS_FILE
from recsys.errors import BundleError
from recsys.trees import FEATURES, SCORES, OnnxTrees
from training.export import OPSET

TOLERANCE: Final = 1e-5
CHECKED_ROWS: Final = 10_000

TREES_OPSET: Final = 5
SUM: Final = 1
AT_MOST: Final = 0
"""What is done with the leaves of a row, and how a value is compared with a threshold, as TreeEnsemble numbers them."""

Copy = Literal["right", "left", "zero", "missing"]
FILLS: Final[dict[Copy, float]] = {"right": np.inf, "left": -np.inf, "zero": 0.0}
"""The copies of the features, and what stands for NaN there: by where it goes, or zero, which LightGBM takes it for
where it saw none in training. The copy `missing` is 1 where there is NaN, else 0."""

HALF: Final = 0.5

NOUGHT: Final = float(np.float32(1e-35))
"""LightGBM takes a value for zero that is no further from it."""

Split = dict[str, Any]
"""A node of Booster.dump_model, or a leaf."""


def export_ranker(booster: lgb.Booster, rows: NDArray[np.float32], folder: Path, *, sample: int, seed: int) -> float:
    """Write ranker.onnx, and `sample` rows; returns the largest difference to LightGBM on `rows`.

    Raises BundleError when that is above TOLERANCE, or when the trees have what is not known here.
    """
    path = folder / RANKER_ONNX_FILE
    onnx.save(trees_as_onnx(booster), path)
    np.save(folder / RANKER_ROWS_FILE, shuffled_sample(rows, sample, seed=seed))
    return check_against_lightgbm(booster, path, rows[:CHECKED_ROWS])


def check_against_lightgbm(booster: lgb.Booster, path: Path, rows: NDArray[np.float32]) -> float:
    """The largest difference between the scores of LightGBM and of ranker.onnx. Raises BundleError above TOLERANCE."""
    difference = float(np.abs(OnnxTrees(path).predict(rows) - booster.predict(rows)).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise BundleError(f"{path}: differs from LightGBM by {difference:.2g}, expected at most {TOLERANCE}; not used")
    return difference


def shuffled_sample(rows: NDArray[np.float32], count: int, *, seed: int) -> NDArray[np.float32]:
    """`count` rows, each column drawn by itself: values as they occur, and no row is that of a user."""
    drawn = np.random.default_rng(seed).integers(len(rows), size=(count, rows.shape[1]))
    return np.take_along_axis(rows, drawn, axis=0)


def trees_as_onnx(booster: lgb.Booster) -> ModelProto:
    """The model; its scores are those of `predict` with an objective that leaves sums as they are, as lambdarank does.

    Raises BundleError.
    """
    dump = booster.dump_model()
    roots = [_checked(tree) for tree in dump["tree_info"]]
    if not roots or dump["num_tree_per_iteration"] != 1 or dump["average_output"]:
        raise BundleError(
            f"ranker: {len(roots)} trees, {dump['num_tree_per_iteration']} an iteration, "
            f"average_output {dump['average_output']}; expected some trees that are added to one score; train it so"
        )
    n_features = dump["max_feature_idx"] + 1
    for root, thresholds in zip(roots, _thresholds(booster), strict=True):
        for split in _splits(root):
            # The dump has 1e300 for infinity.
            split["threshold"] = _around_zero(thresholds[split["split_index"]])
    copies = sorted({_copy(split) for root in roots for split in _splits(root)}) or ["zero"]
    trees = _Trees(n_features, copies)
    for root in roots:
        trees.add(root)
    nodes = [helper.make_node("IsNaN", [FEATURES], ["is_missing"])]
    for copy in copies:
        if copy == "missing":
            nodes.append(helper.make_node("Cast", ["is_missing"], [copy], to=TensorProto.FLOAT))
        else:
            nodes.append(helper.make_node("Where", ["is_missing", f"fill_{copy}", FEATURES], [copy]))
    nodes += [
        helper.make_node("Concat", copies, ["filled"], axis=1),
        helper.make_node("Cast", ["filled"], ["values"], to=TensorProto.DOUBLE),
        trees.node("values", SCORES),
    ]
    graph = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["rows", n_features])],
        [helper.make_tensor_value_info(SCORES, TensorProto.DOUBLE, ["rows", 1])],
        [
            numpy_helper.from_array(np.array(FILLS[copy], np.float32), f"fill_{copy}")
            for copy in copies
            if copy in FILLS
        ],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    return model


@dataclass
class _Trees:
    """The attributes of a TreeEnsemble, node after node."""

    n_features: int
    copies: list[Copy]
    roots: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    left_is_leaf: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    right_is_leaf: list[int] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)

    def add(self, root: Split) -> None:
        self.roots.append(len(self.columns))
        if _is_leaf(root):
            # TreeEnsemble wants a split: one whose sides are alike.
            self._split({"threshold": 0.0, "left_child": root, "right_child": root}, column=0)
        else:
            self._split(root, self._column(root))

    def node(self, values: str, scores: str) -> NodeProto:
        """From float64 (n, n_features * len(copies)) to float64 (n, 1)."""
        return helper.make_node(
            "TreeEnsemble",
            [values],
            [scores],
            domain="ai.onnx.ml",
            aggregate_function=SUM,
            n_targets=1,
            tree_roots=self.roots,
            nodes_featureids=self.columns,
            nodes_modes=numpy_helper.from_array(np.full(len(self.columns), AT_MOST, dtype=np.uint8)),
            nodes_splits=numpy_helper.from_array(np.array(self.thresholds)),
            nodes_truenodeids=self.left,
            nodes_trueleafs=self.left_is_leaf,
            nodes_falsenodeids=self.right,
            nodes_falseleafs=self.right_is_leaf,
            leaf_targetids=[0] * len(self.leaves),
            leaf_weights=numpy_helper.from_array(np.array(self.leaves)),
        )

    def _column(self, split: Split) -> int:
        return self.copies.index(_copy(split)) * self.n_features + int(split["split_feature"])

    def _split(self, split: Split, column: int) -> int:
        at = len(self.columns)
        self.columns.append(column)
        self.thresholds.append(HALF if self.copies[column // self.n_features] == "missing" else split["threshold"])
        # The place of a node is taken before those of what is below it.
        for sides in (self.left, self.right, self.left_is_leaf, self.right_is_leaf):
            sides.append(0)
        self.left[at], self.left_is_leaf[at] = self._below(split["left_child"])
        self.right[at], self.right_is_leaf[at] = self._below(split["right_child"])
        return at

    def _below(self, node: Split) -> tuple[int, int]:
        """The place of a node among the splits or the leaves, and whether it is a leaf."""
        if not _is_leaf(node):
            return self._split(node, self._column(node)), 0
        self.leaves.append(node["leaf_value"])
        return len(self.leaves) - 1, 1


def _checked(tree: dict[str, Any]) -> Split:
    """The root of a tree. Raises BundleError for what is not known here."""
    root: Split = tree["tree_structure"]
    for split in _splits(root):
        if split["decision_type"] != "<=" or split["missing_type"] not in ("NaN", "None"):
            raise BundleError(
                f"ranker: tree {tree['tree_index']} splits feature {split['split_feature']} by "
                f"{split['decision_type']!r} with missing values as {split['missing_type']}; expected '<=' with NaN or "
                "None; train without categorical_feature and without zero_as_missing"
            )
    if any("leaf_coeff" in leaf for leaf in _leaves(root)):
        raise BundleError(
            f"ranker: tree {tree['tree_index']} has linear models in its leaves; train without linear_tree"
        )
    return root


def _thresholds(booster: lgb.Booster) -> list[list[float]]:
    """Of every tree those of its splits, as the text of the model has them."""
    lines = booster.model_to_string().splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("Tree=")]
    found = []
    for start, end in pairwise([*starts, len(lines)]):
        values = [line.partition("=")[2] for line in lines[start:end] if line.startswith("threshold=")]
        found.append([float(value) for value in " ".join(values).split()])
    return found


def _around_zero(threshold: float) -> float:
    """One that has on its side of zero what LightGBM takes for zero; others as they are."""
    if not -NOUGHT <= threshold <= NOUGHT:
        return threshold
    return NOUGHT if threshold >= 0 else float(np.nextafter(-NOUGHT, -np.inf))


def _copy(split: Split) -> Copy:
    if split["missing_type"] == "None":
        return "zero"
    if split["default_left"]:
        return "left"
    # No number is above this threshold: what is known goes left, infinity as well, and NaN right.
    return "missing" if split["threshold"] == np.inf else "right"


def _is_leaf(node: Split) -> bool:
    return "leaf_value" in node


def _nodes(node: Split) -> Iterator[Split]:
    """The node and all below it."""
    yield node
    if not _is_leaf(node):
        yield from _nodes(node["left_child"])
        yield from _nodes(node["right_child"])


def _splits(root: Split) -> Iterator[Split]:
    return (node for node in _nodes(root) if not _is_leaf(node))


def _leaves(root: Split) -> Iterator[Split]:
    return (node for node in _nodes(root) if _is_leaf(node))
