import ctypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from recsys import interest
from recsys.bundle_files import BATCH_SCORER_FILE, GATHER_FILE, SCORER_FILE
from recsys.errors import BundleError
from recsys.interest import (
    SIGNALS,
    DeviceRows,
    InterestScorer,
    Vectors,
    execution_providers,
    has_nvidia_gpu,
    onnx_session,
    signal_names,
)
from recsys.interest_inputs import Question
from recsys.state import UserState

DIMENSION = 8
ITEMS = 20
TEMPERATURE = 15
NOW = 1e9
A_DAY = 86_400.0
CLOSE, CLOSE_SHARPNESS = 0.75, 40.0

TYPES = ("cart", "purchase", "view")
LABELS = {"purchase": 1.0, "view": 0.25}
AGE_POWER = (0.5, 1.5)
OCCASIONS_POWER = (0.75, -0.25)
KIND_WEIGHT = ((0.0, 1.0, -1.0), (0.5, 0.0, 0.25))
QUERY_GATE, QUERY_GATE_SLOPE = (1.0, 0.0), (-0.5, 0.25)
"""Of each label, what a user tower may have learned."""

random = np.random.default_rng(0)
VECTORS = random.normal(size=(ITEMS + 1, DIMENSION)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
VECTORS, QUERY = VECTORS[:ITEMS], VECTORS[ITEMS]


def user_of(
    history: Sequence[int],
    *,
    ages: Sequence[float] | None = None,
    occasions: Sequence[float] | None = None,
    types: Sequence[str] | None = None,
) -> UserState:
    """A user who chose these items, the latest first: unless told otherwise each once, on one occasion, as a view."""
    n = len(history)
    last_at = NOW - A_DAY * np.array([2.0] * n if ages is None else ages)
    counts = np.array([1.0] * n if occasions is None else occasions)
    names = np.array(["view"] * n if types is None else types, dtype=np.str_)
    return UserState(
        np.array([]), np.array(history, dtype=np.int64), counts, last_at, last_at, names, np.zeros_like(counts)
    )


USER = user_of(
    [3, 11, 4, 0, 19],
    ages=[0.5, 0.5, 3, 40, 400],
    occasions=[1, 4, 1, 2, 9],
    types=["view", "purchase", "cart", "view", "purchase"],
)
NOBODY = user_of([])


@pytest.fixture(scope="module")
def scorer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scorer of a tower that learned something for each of two labels."""
    import torch

    from training.export_scorer import export_scorer
    from training.user_tower import UserTower

    tower = UserTower(TYPES, LABELS, TEMPERATURE)
    learned = (AGE_POWER, OCCASIONS_POWER, KIND_WEIGHT, QUERY_GATE, QUERY_GATE_SLOPE)
    names = ("age_power", "occasions_power", "kind_weight", "query_gate", "query_gate_slope")
    tower.load_state_dict({name: torch.tensor(values) for name, values in zip(names, learned, strict=True)})
    path = tmp_path_factory.mktemp("scorer") / SCORER_FILE
    export_scorer(tower, DIMENSION, path)
    return path


@pytest.fixture
def scorer(scorer_file: Path) -> InterestScorer:
    return InterestScorer(scorer_file, VECTORS, history_items=40)


def soft_maximum(cosine: np.ndarray, weight: np.ndarray) -> float:
    return float(np.log(np.sum(weight / weight.sum() * np.exp(TEMPERATURE * cosine))) / TEMPERATURE)


def literal_signals(user: UserState, candidates: Sequence[int], query: Vectors | None = None) -> np.ndarray:
    """The formula word by word: -1 … 1 becomes 0 … 1, and what is not there counts as -1."""
    rows = []
    for candidate in candidates:
        vector = VECTORS[candidate].astype(float)
        cosine = np.array([vector @ VECTORS[item] for item in user.history])
        asked = -1.0 if query is None else float(vector @ query)
        of_labels = []
        for label in range(len(LABELS)):
            weights = [
                (1 + (NOW - last_at) / A_DAY / 7) ** -AGE_POWER[label]
                * occasions ** OCCASIONS_POWER[label]
                * np.exp(KIND_WEIGHT[label][TYPES.index(name)])
                for last_at, occasions, name in zip(user.last_at, user.occasions, user.types, strict=True)
            ]
            gate = QUERY_GATE[label] + QUERY_GATE_SLOPE[label] * np.log(1 + len(cosine))
            share = 0.0 if query is None else 1 / (1 + np.exp(-gate))
            if len(cosine) == 0:
                of_labels.append(asked)
            else:
                of_labels.append(share * asked + (1 - share) * soft_maximum(cosine, np.array(weights)))
        of_last = cosine[user.in_last_occasion]
        row = [
            (1.0 * of_labels[0] + 0.25 * of_labels[1]) / 1.25,
            cosine.max(initial=-1),
            soft_maximum(of_last, np.ones(len(of_last))) if len(of_last) else -1.0,
            asked,
            *of_labels,
        ]
        close = (1 / (1 + np.exp(-CLOSE_SHARPNESS * (cosine - CLOSE)))).sum()
        row = [(1 + value) / 2 for value in row]
        rows.append([*row[:4], close, *row[4:]])
    return np.array(rows)


def test_with_several_labels_the_interest_for_each_of_them_is_a_signal_too(scorer):
    assert signal_names(["purchase"]) == SIGNALS
    assert scorer.signals == (*SIGNALS, "text_interest_purchase", "text_interest_view")


@pytest.mark.parametrize("query", [None, QUERY], ids=["no query", "a query"])
@pytest.mark.parametrize("user", [USER, user_of([7]), USER.without(VECTORS[:, 0] > 0)], ids=["many", "one", "some"])
def test_the_signals_are_the_formula_word_by_word(scorer, user, query):
    candidates = np.array([5, 3, 12, 5])
    signals = scorer.score(user, NOW, candidates, query)
    assert (signals.dtype, signals.shape) == (np.float32, (4, len(scorer.signals)))
    assert signals == pytest.approx(literal_signals(user, candidates.tolist(), query), abs=1e-4)


def test_a_query_alone_is_its_cosine_with_each_candidate(scorer):
    signals = scorer.score(NOBODY, NOW, None, QUERY)
    cosine = (1 + VECTORS @ QUERY) / 2
    assert signals == pytest.approx(literal_signals(NOBODY, range(ITEMS), QUERY), abs=1e-4)
    assert signals[:, SIGNALS.index("text_interest")] == pytest.approx(cosine, abs=1e-6)
    assert signals[:, SIGNALS.index("text_query")] == pytest.approx(cosine, abs=1e-6)
    assert not signals[:, [SIGNALS.index("text_nearest"), SIGNALS.index("text_last_occasion")]].any()


def test_as_time_passes_the_items_of_a_history_change_their_weights(scorer):
    one_year = 365 * A_DAY
    later = replace(USER, last_at=USER.last_at - one_year)
    assert scorer.score(USER, NOW + one_year) == pytest.approx(literal_signals(later, range(ITEMS)), abs=1e-4)
    assert np.abs(scorer.score(USER, NOW + one_year) - scorer.score(USER, NOW)).max() > 1e-3


def test_an_item_of_the_history_is_its_own_nearest(scorer):
    signals = scorer.score(USER, NOW, USER.history[:1])
    assert signals[0, SIGNALS.index("text_nearest")] == pytest.approx(1)


def test_without_candidates_the_whole_catalogue_is_scored(scorer):
    assert scorer.score(USER, NOW) == pytest.approx(scorer.score(USER, NOW, np.arange(ITEMS)), abs=1e-6)


def test_only_the_latest_items_of_a_history_count(scorer_file):
    latest = user_of([3, 11, 4], ages=[0.5, 0.5, 3], occasions=[1, 4, 1], types=["view", "purchase", "cart"])
    found = InterestScorer(scorer_file, VECTORS, history_items=3).score(USER, NOW)
    assert found == pytest.approx(literal_signals(latest, range(ITEMS)), abs=1e-4)


def test_items_of_a_type_that_the_scorer_does_not_know_are_left_out_of_the_history(scorer):
    types = ["view", "swipe", "cart", "view", "wink"]
    known = replace(USER, types=np.array(types)).without(np.isin(np.arange(ITEMS), [11, 19]))
    found = scorer.score(replace(USER, types=np.array(types)), NOW)
    assert found == pytest.approx(literal_signals(known, range(ITEMS)), abs=1e-4)


def test_the_latest_occasion_is_that_of_the_whole_history_and_is_empty_when_all_its_types_are_unknown(scorer):
    user = replace(USER, types=np.array(["swipe", "wink", "cart", "view", "purchase"]))
    assert not scorer.score(user, NOW)[:, SIGNALS.index("text_last_occasion")].any()


@pytest.mark.parametrize("user", [NOBODY, replace(USER, types=np.array(["swipe"] * 5))], ids=["none", "unknown"])
def test_a_user_without_a_history_of_known_types_gets_zeros(scorer, user):
    for signals, rows in ((scorer.score(user, NOW), ITEMS), (scorer.score(user, NOW, np.array([1, 2])), 2)):
        assert signals.dtype == np.float32
        assert signals.tolist() == [[0] * len(scorer.signals)] * rows


@pytest.mark.parametrize("query", [None, QUERY], ids=["no query", "a query"])
def test_no_candidates_are_no_rows(scorer, query):
    assert scorer.score(USER, NOW, np.array([], dtype=np.int64), query).shape == (0, len(scorer.signals))


def test_vectors_on_the_disk_score_as_those_in_memory(scorer_file, tmp_path):
    np.save(tmp_path / "vectors.npy", VECTORS)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    on_disk, in_memory = (InterestScorer(scorer_file, vectors, history_items=40) for vectors in (mapped, VECTORS))
    for candidates in (None, np.array([7, 1])):
        assert on_disk.score(USER, NOW, candidates).tolist() == in_memory.score(USER, NOW, candidates).tolist()
    assert on_disk.vectors is mapped


def test_other_vectors_may_take_the_place_of_those_that_a_scorer_began_with(scorer):
    scorer.vectors = VECTORS[::-1]
    turned = replace(USER, history=ITEMS - 1 - USER.history)
    assert scorer.score(turned, NOW)[::-1] == pytest.approx(literal_signals(USER, range(ITEMS)), abs=1e-4)


def test_rows_that_lie_on_a_device_are_picked_there(scorer_file, monkeypatch):
    # The CPU stands for the GPU: what is bound, copied and gathered is the same.
    monkeypatch.setattr(interest, "GPU", "cpu")
    rows = DeviceRows(scorer_file.with_name(GATHER_FILE), VECTORS, on_gpu=True)
    np.testing.assert_array_equal(rows.of(np.array([4, 19, 4])).numpy(), VECTORS[[4, 19, 4]])
    np.testing.assert_array_equal(rows.of(None).numpy(), VECTORS)
    rows.values = VECTORS[:7] * 2
    np.testing.assert_array_equal(rows.of(np.array([6, 0])).numpy(), VECTORS[[6, 0]] * 2)
    np.testing.assert_array_equal(rows.of(None).numpy(), VECTORS[:7] * 2)


def test_a_scorer_with_its_rows_on_a_device_says_the_same(scorer_file, scorer, monkeypatch):
    monkeypatch.setattr(interest, "GPU", "cpu")
    monkeypatch.setattr(interest, "CUDA", "CPUExecutionProvider")
    on_device = InterestScorer(scorer_file, VECTORS, history_items=40)
    for user, candidates, query in ((USER, None, None), (USER, np.array([2, 9]), QUERY), (NOBODY, None, QUERY)):
        expected = scorer.score(user, NOW, candidates, query)
        assert on_device.score(user, NOW, candidates, query).tolist() == expected.tolist()


def test_a_session_starts_without_noise(scorer_file, capfd):
    onnx_session(scorer_file)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_session_has_as_many_threads_as_asked_for(scorer_file):
    assert onnx_session(scorer_file).get_session_options().intra_op_num_threads == 1
    assert onnx_session(scorer_file, threads=2).get_session_options().intra_op_num_threads == 2


class Driver:
    """libcuda.so.1 of a machine with so many devices, or which fails to start."""

    def __init__(self, *, devices: int, fails: bool = False) -> None:
        self.devices = devices
        self.fails = fails

    def cuInit(self, flags: int) -> int:
        return 100 if self.fails else 0

    def cuDeviceGetCount(self, count) -> int:
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.devices
        return 0


@pytest.fixture
def machine(monkeypatch):
    """Make the test run as on a machine with this driver, None for none; returns what ONNX Runtime loaded."""
    loaded: list[str] = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append("cuda"))
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )

    def pretend(driver: Driver | None) -> list[str]:
        def library(name: str) -> Driver:
            assert name == "libcuda.so.1"
            if driver is None:
                raise OSError(name)
            return driver

        monkeypatch.setattr(ctypes, "CDLL", library)
        return loaded

    return pretend


@pytest.mark.parametrize(
    "driver", [None, Driver(devices=0), Driver(devices=1, fails=True)], ids=["none", "idle", "broken"]
)
def test_without_a_working_gpu_everything_runs_on_the_cpu(machine, driver):
    loaded = machine(driver)
    assert has_nvidia_gpu() is False
    assert execution_providers() == ["CPUExecutionProvider"]
    assert not loaded


def test_a_gpu_comes_first_with_its_libraries_loaded(machine):
    loaded = machine(Driver(devices=1))
    assert execution_providers() == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert loaded == ["cuda"]


def test_a_build_without_cuda_does_not_look_for_a_gpu(machine, monkeypatch):
    loaded = machine(Driver(devices=1))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert execution_providers() == ["CPUExecutionProvider"]
    assert not loaded


@pytest.mark.skipif(has_nvidia_gpu(), reason="this machine has an NVIDIA GPU")
def test_this_machine_without_a_gpu_runs_on_the_cpu(scorer_file):
    assert execution_providers() == ["CPUExecutionProvider"]
    assert onnx_session(scorer_file).get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("query", [None, QUERY], ids=["no query", "a query"])
@pytest.mark.parametrize("user", [USER, NOBODY, user_of([3, 4], types=["never heard of", "cart"])])
def test_the_soft_maximum_is_the_interest_that_the_file_says_as_a_cosine(scorer, user, query):
    interest = scorer.soft_maximum(user, NOW, query)
    if len(user.history) == 0 and query is None:
        assert interest is None
        return
    said = 2 * scorer.score(user, NOW, None, query)[:, SIGNALS.index("text_interest")] - 1
    assert interest.of_vectors(VECTORS) == pytest.approx(said, abs=1e-5)
    # In other coordinates the same.
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSION, DIMENSION)))[0].astype(np.float32)
    assert interest.turned(turn).of_vectors(VECTORS @ turn) == pytest.approx(said, abs=1e-5)


def test_a_scorer_that_keeps_no_parameters_of_its_tower_serves_without_an_index(scorer_file, tmp_path):
    model = onnx.load(scorer_file)
    kept = [one for one in model.metadata_props if one.key != "tower"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    old = tmp_path / SCORER_FILE
    onnx.save(model, old)
    scorer = InterestScorer(old, VECTORS, history_items=40)
    assert scorer.score(USER, NOW).any()
    with pytest.raises(BundleError, match="keeps no parameters of the user tower; train again"):
        scorer.soft_maximum(USER, NOW)


ASKED = (
    Question(USER, NOW, np.array([2, 9, 4])),
    Question(user_of([7]), NOW, np.array([7])),
    Question(NOBODY, NOW, np.array([1, 2])),
    Question(USER, NOW - 3 * A_DAY, None),
    Question(NOBODY, NOW, np.arange(ITEMS), QUERY),
    Question(USER, NOW + A_DAY, np.array([0, 19, 0, 3]), QUERY),
    Question(user_of([3, 4], types=["never heard of", "cart"]), NOW, np.array([5])),
    Question(user_of([5], types=["wink"]), NOW, np.array([5, 6])),
    Question(USER, NOW, np.array([], dtype=np.int64)),
)
"""Histories of five, one and no items that count, with and without a query, about the catalogue, some and no items."""


def counted(session: onnxruntime.InferenceSession) -> list[int]:
    """One entry for each run of a session from now on."""
    runs, run = [], session.run_with_iobinding

    def counting(binding) -> None:
        runs.append(1)
        run(binding)

    session.run_with_iobinding = counting
    return runs


@pytest.fixture
def of_several(scorer_file: Path) -> InterestScorer:
    batch = scorer_file.with_name(BATCH_SCORER_FILE)
    return InterestScorer(scorer_file, VECTORS, history_items=40, batch=batch)


def assert_each_gets_its_own(found: Sequence[Vectors], asked: Sequence[Question], scorer: InterestScorer) -> None:
    assert len(found) == len(asked)
    for one, question in zip(found, asked, strict=True):
        expected = scorer.score(*question)
        assert (one.dtype, one.shape) == (np.float32, expected.shape)
        np.testing.assert_allclose(one, expected, rtol=0, atol=1e-5)


def test_several_users_get_together_what_each_gets_alone(of_several, scorer):
    runs, alone = counted(of_several._batch), counted(of_several._session)
    assert_each_gets_its_own(of_several.score_many(ASKED), ASKED, scorer)
    # The whole catalogue is asked for once, and who has neither history nor query needs no run.
    assert (len(runs), len(alone)) == (1, 1)


def test_the_numbers_of_several_users_are_those_of_the_formula(of_several):
    for one, asked in zip(of_several.score_many(ASKED[:2]), ASKED[:2], strict=True):
        assert one == pytest.approx(literal_signals(asked.user, asked.candidates.tolist()), abs=1e-4)


def test_what_lies_in_the_padding_changes_nothing(of_several):
    # Item 3 is in the history of the first, and fills nothing up for the second.
    short, long = Question(user_of([3]), NOW, np.array([3])), Question(USER, NOW, np.arange(ITEMS))
    alone, beside = of_several.score_many([short, short])[0], of_several.score_many([long, short])[1]
    np.testing.assert_allclose(beside, alone, rtol=0, atol=1e-6)


def test_more_rows_than_fit_into_one_run_take_several(of_several, scorer, monkeypatch):
    monkeypatch.setattr(interest, "MOST_ROWS", 8)
    asked = [Question(USER, NOW, np.arange(count)) for count in (2, 4, 20, 3, 2)]
    runs = counted(of_several._batch)
    assert_each_gets_its_own(of_several.score_many(asked), asked, scorer)
    # 20 | 4 + 3 | 2 + 2
    assert len(runs) == 3


def test_without_a_graph_for_several_users_each_has_a_run(scorer):
    runs = counted(scorer._session)
    assert not scorer.scores_together
    assert_each_gets_its_own(scorer.score_many(ASKED[:2]), ASKED[:2], scorer)
    assert len(runs) == 2 + 2


def test_nobody_asks_nothing(of_several):
    assert of_several.score_many([]) == []


def test_several_users_are_scored_by_rows_on_a_device_and_by_those_that_took_their_place(
    scorer_file, scorer, monkeypatch
):
    monkeypatch.setattr(interest, "GPU", "cpu")
    monkeypatch.setattr(interest, "CUDA", "CPUExecutionProvider")
    batch = scorer_file.with_name(BATCH_SCORER_FILE)
    on_device = InterestScorer(scorer_file, VECTORS, history_items=40, batch=batch)
    assert on_device.on_gpu
    assert_each_gets_its_own(on_device.score_many(ASKED), ASKED, scorer)
    on_device.vectors = scorer.vectors = VECTORS[::-1]
    assert_each_gets_its_own(on_device.score_many(ASKED), ASKED, scorer)
