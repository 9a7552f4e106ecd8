"""What LightGBM is told: its parameters from [ranker], and which features may move the score in one direction only."""

import difflib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from recsys.config import Ranker
from recsys.errors import ConfigError

ROWS_IN_LEAF: Final = (20, 200)
"""At least so many: large leaves keep a tree from learning single users by heart. Fewer where there are few rows."""

ROWS_A_LEAF: Final = 500
"""One row in so many is the least of a leaf, within ROWS_IN_LEAF."""

DIRECTIONS: Final = {"increasing": 1, "decreasing": -1}


def rows_in_leaf(config: Ranker, rows: int) -> int:
    """The least of a leaf, of so many rows to learn from."""
    return config.rows_in_leaf or int(np.clip(rows // ROWS_A_LEAF, *ROWS_IN_LEAF))


def parameters(config: Ranker, features: Sequence[str], rows: int) -> dict[str, Any]:
    """For `rows` rows with these columns; a constraint on a column that is not there is left out."""
    found = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "lambdarank_truncation_level": config.truncation,
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": rows_in_leaf(config, rows),
        "feature_fraction": config.feature_share,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": config.l2,
        "max_bin": 63,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    directions = [DIRECTIONS[config.monotone[name]] if name in config.monotone else 0 for name in features]
    if any(directions):
        # The usual method forbids more splits than it has to.
        found |= {"monotone_constraints": directions, "monotone_constraints_method": "advanced"}
    return found


def check_monotone(config: Ranker, features: Sequence[str]) -> None:
    """Raises ConfigError when [ranker] monotone names something that is no feature of the project."""
    for name in config.monotone:
        if name not in features:
            near = [*difflib.get_close_matches(name, features, n=3), *(one for one in features if name in one)]
            meant = f"did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
            raise ConfigError(
                f"[ranker] monotone: {name!r} is none of the {len(features)} features of this project; {meant}"
                "docs/features.md lists them"
            )
