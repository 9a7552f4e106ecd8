import json
import re

import numpy as np
import onnx
import pytest
import torch

from recsys.bundle_files import GATHER_FILE, SCORER_FILE
from recsys.errors import BundleError
from recsys.interest import LABELS, TYPES, onnx_session
from tests.training.test_user_tower import BOTH, LEARNED, X, Y, history_of, random_case, tower_of
from training import export_scorer as module
from training.export_scorer import ScorerExport, export_scorer
from training.user_tower import History, Signals, UserTower

ONE = {"purchase": 1.0}
INPUTS = ("history", "age_days", "occasions", "kind", "present", "last", "query", "has_query", "candidates")


def run(path, *inputs: torch.Tensor) -> np.ndarray:
    feed = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
    (found,) = onnx_session(path).run(None, feed)
    return found


def inputs_of(
    history: History, candidates: torch.Tensor, query: torch.Tensor, *, asked: bool
) -> tuple[torch.Tensor, ...]:
    last = (torch.arange(len(history.present)) < 2).float() * history.present
    return (*vars(history).values(), last, query, torch.tensor(float(asked)), candidates)


@pytest.fixture(scope="module", params=[ONE, BOTH], ids=["one label", "two labels"])
def exported(request, tmp_path_factory):
    """A tower that learned something, and its file."""
    learned = {name: values[: len(request.param)] for name, values in LEARNED.items()}
    tower = tower_of(request.param, **learned)
    path = tmp_path_factory.mktemp("scorer") / SCORER_FILE
    assert export_scorer(tower, 8, path) <= 1e-4
    return tower, path


@pytest.mark.parametrize("asked", [False, True], ids=["no query", "a query"])
@pytest.mark.parametrize("length", [1, 2, 6])
@pytest.mark.parametrize("count", [1, 10])
def test_the_file_says_what_torch_says_for_any_number_of_items_and_candidates(exported, length, count, asked):
    tower, path = exported
    history, candidates, query = random_case(seed=length)
    history = History(*(part[:length] for part in vars(history).values()))
    inputs = inputs_of(history, candidates[:count], query, asked=asked)
    with torch.no_grad():
        expected = Signals(tower)(*inputs)
    assert expected.shape[0] == count
    np.testing.assert_allclose(run(path, *inputs), expected.numpy(), atol=1e-5)


def test_without_a_history_the_file_goes_by_the_query(exported):
    _, path = exported
    history, candidates, query = random_case()
    nothing = History(*(part[:1] for part in vars(history).values()))
    nothing.present[:] = 0
    found = run(path, *inputs_of(nothing, candidates, query, asked=True))
    np.testing.assert_allclose(found[:, 0], (1 + candidates.numpy() @ query.numpy()) / 2, atol=1e-5)
    assert not found[:, [1, 2]].any()


def test_the_file_names_the_types_and_the_labels_that_it_knows(exported):
    tower, path = exported
    about = {one.key: json.loads(one.value) for one in onnx.load(path).metadata_props}
    assert about[TYPES] == list(tower.types)
    assert about[LABELS] == list(tower.labels)
    assert [one.name for one in onnx.load(path).graph.input] == list(INPUTS)


def test_beside_it_lies_a_graph_that_picks_rows(exported):
    vectors = np.arange(40, dtype=np.float32).reshape(5, 8)
    session = onnx_session(exported[1].with_name(GATHER_FILE))
    (rows,) = session.run(None, {"vectors": vectors, "positions": np.array([4, 0, 4])})
    np.testing.assert_array_equal(rows, vectors[[4, 0, 4]])


def test_one_graph_is_written_with_the_weights_of_one_tower_after_the_other(tmp_path):
    towers = tower_of(ONE), tower_of(ONE, age_power=[3.0])
    export = ScorerExport(towers[0], 2)
    parts = history_of([X, Y], age_days=[0.0, 70.0])
    inputs = inputs_of(parts, torch.tensor([X, Y]), torch.tensor(X), asked=False)
    found = []
    for at, tower in enumerate(towers):
        export.write(tower, tmp_path / f"{at}.onnx")
        with torch.no_grad():
            np.testing.assert_allclose(
                run(tmp_path / f"{at}.onnx", *inputs), Signals(tower)(*inputs).numpy(), atol=1e-5
            )
        found.append(run(tmp_path / f"{at}.onnx", *inputs))
    # Of what was chosen ten weeks before, the second has nearly forgotten.
    assert found[1][1, 0] < found[0][1, 0] - 0.1


def test_a_file_that_says_something_else_than_torch_is_refused(tmp_path, monkeypatch):
    export = ScorerExport(tower_of(ONE), 8)
    weights = UserTower.state_dict

    def others(tower: UserTower) -> dict[str, torch.Tensor]:
        return {name: weight + 1.0 for name, weight in weights(tower).items()}

    monkeypatch.setattr(module.UserTower, "state_dict", others)
    with pytest.raises(BundleError, match=re.escape("scorer.onnx: differs from torch by")):
        export.write(tower_of(ONE), tmp_path / SCORER_FILE)
