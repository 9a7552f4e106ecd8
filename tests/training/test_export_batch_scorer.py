import re

import numpy as np
import pytest
import torch

from recsys.bundle_files import BATCH_SCORER_FILE
from recsys.errors import BundleError
from recsys.interest import onnx_session
from tests.training.test_user_tower import BOTH, LEARNED, random_case, tower_of
from training import export_batch_scorer as module
from training.export_batch_scorer import OF_HISTORY, export_batch_scorer
from training.user_tower import Signals

CATALOGUE = 12


@pytest.fixture(scope="module", params=[{"purchase": 1.0}, BOTH], ids=["one label", "two labels"])
def exported(request, tmp_path_factory):
    """A tower that learned something, and its file."""
    tower = tower_of(request.param, **{name: values[: len(request.param)] for name, values in LEARNED.items()})
    path = tmp_path_factory.mktemp("scorer") / BATCH_SCORER_FILE
    assert export_batch_scorer(tower, 8, path) <= 1e-5
    return tower, path


@pytest.mark.parametrize("users", [1, 2, 5])
@pytest.mark.parametrize("items", [1, 6])
@pytest.mark.parametrize("count", [1, 10])
def test_of_any_number_of_users_it_says_what_the_tower_says_of_each(exported, users, items, count):
    tower, path = exported
    parts, _, query = random_case(users, seed=users)
    age_days, occasions, kind, present = (part[:, :items] for part in list(vars(parts).values())[1:])
    random = torch.Generator().manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(CATALOGUE, 8, generator=random), dim=-1)
    history = torch.randint(CATALOGUE, (users, items), generator=random)
    candidates = torch.randint(CATALOGUE, (users, count), generator=random)
    last = (torch.arange(items) < 2) * present
    has_query = (torch.arange(users) % 2).float()
    feed = dict(zip(OF_HISTORY, (history, age_days, occasions, kind, present, last), strict=True))
    feed |= {"vectors": vectors, "query": query, "has_query": has_query, "candidates": candidates}
    (found,) = onnx_session(path).run(None, {name: value.numpy() for name, value in feed.items()})
    for user in range(users):
        inputs = (age_days, occasions, kind, present, last, query, has_query)
        with torch.no_grad():
            expected = Signals(tower)(
                vectors[history[user]], *(part[user] for part in inputs), vectors[candidates[user]]
            )
        np.testing.assert_allclose(found[user], expected.numpy(), rtol=0, atol=1e-5)


def test_a_file_that_says_something_else_than_torch_is_refused(tmp_path, monkeypatch):
    write = module.write_onnx

    def of_another_tower(_, *arguments):
        write(module._OfPositions(tower_of(age_power=[3.0])), *arguments)

    monkeypatch.setattr(module, "write_onnx", of_another_tower)
    with pytest.raises(BundleError, match=re.escape("scorer_batch.onnx: differs from torch by")):
        export_batch_scorer(tower_of(), 8, tmp_path / BATCH_SCORER_FILE)
