"""Every library learns and recommends; only where `make peers` has made their environment."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import peers
from benchmarks.harness import in_own_process
from benchmarks.peer_models.known import SECONDS_A_DAY
from recsys.metrics import NO_ITEM
from tests.benchmarks.quick import ROOT

PYTHON = ROOT / peers.THEIR_PYTHON
USERS, ITEMS, DAYS, EVENTS = 40, 30, 40, 600


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users who take items by chance; user 0 is the one who has had items 0 to 4 alone."""
    folder = tmp_path_factory.mktemp("split")
    chance = np.random.default_rng(0)
    users, items = chance.integers(1, USERS, EVENTS), chance.integers(0, ITEMS, EVENTS)
    users[:5], items[:5] = 0, np.arange(5)
    days = np.sort(chance.uniform(0, DAYS, EVENTS))
    seconds = days * SECONDS_A_DAY
    pl.DataFrame({"user": users, "item": items, "seconds": seconds}).write_parquet(folder / "interactions.parquet")
    validation, cut = (DAYS - 14) * SECONDS_A_DAY, DAYS * SECONDS_A_DAY
    about = {"n_users": USERS, "n_items": ITEMS, "validation": validation, "cut": cut}
    (folder / "split.json").write_text(json.dumps(about))
    for task in ("all", "new"):
        asked = np.arange(USERS)
        relevant = [[7, 8]] * USERS
        pl.DataFrame({"user": asked, "relevant": relevant}).write_parquet(folder / f"validation_{task}.parquet")
        pl.DataFrame({"user": asked}).write_parquet(folder / f"users_{task}.parquet")
    return folder


@pytest.mark.skipif(not PYTHON.exists(), reason="`make peers` makes the environment of the peers")
@pytest.mark.parametrize("name", peers.IN_THEIRS)
def test_a_library_recommends_what_a_user_had_only_where_it_may(name: str, split: Path, tmp_path: Path):
    module = f"benchmarks.peer_models.{peers.IN_THEIRS[name]}"
    cost = in_own_process(module, name, str(split), str(tmp_path), "--seconds", "0.01", python=str(PYTHON))
    assert cost["trials"] == 1
    assert cost["tasks"].keys() == {"all", "new"}
    ranked = {task: np.load(tmp_path / f"ranked_{task}.npy") for task in ("all", "new")}
    for top in ranked.values():
        assert top.shape == (USERS, 100)
        for row in top:
            found = row[row != NO_ITEM]
            assert len(np.unique(found)) == len(found) > 0
            assert 0 <= found.min() <= found.max() < ITEMS
    assert not set(ranked["new"][0]) & set(range(5))
    assert set(ranked["all"][0]) & set(range(5))
