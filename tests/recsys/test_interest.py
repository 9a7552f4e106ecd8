import ctypes
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from recsys.bundle_files import SCORER_FILE
from recsys.interest import SIGNALS, InterestScorer, execution_providers, has_nvidia_gpu, onnx_session

DIMENSION = 8
ITEMS = 20
TEMPERATURE = 15

random = np.random.default_rng(0)
VECTORS = random.normal(size=(ITEMS, DIMENSION)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
HISTORY = np.array([3, 11, 4, 0, 19])
LAST = np.array([True, True, False, False, False])


@pytest.fixture(scope="module")
def scorer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training.export import export_scorer

    folder = tmp_path_factory.mktemp("scorer")
    export_scorer(DIMENSION, folder)
    return folder / SCORER_FILE


def literal_signals(history: np.ndarray, last: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The formula word by word: the soft maximum is log(mean(exp(15 cosine))) / 15, and -1 … 1 becomes 0 … 1."""
    rows = []
    for candidate in candidates:
        cosine = np.array([VECTORS[candidate].astype(float) @ VECTORS[item] for item in history])
        interest = np.log(np.mean(np.exp(TEMPERATURE * cosine))) / TEMPERATURE
        of_last = np.log(np.mean(np.exp(TEMPERATURE * cosine[last]))) / TEMPERATURE
        rows.append([(1 + value) / 2 for value in (interest, cosine.max(), of_last)])
    return np.array(rows)


def test_the_signals_are_the_formula_word_by_word(scorer_file):
    scorer = InterestScorer(scorer_file, VECTORS, history_items=40)
    candidates = np.array([5, 3, 12, 5])
    signals = scorer.score(HISTORY, LAST, candidates)
    assert (signals.dtype, signals.shape) == (np.float32, (4, len(SIGNALS)))
    assert signals == pytest.approx(literal_signals(HISTORY, LAST, candidates), abs=1e-5)


def test_an_item_of_the_history_is_its_own_nearest(scorer_file):
    signals = InterestScorer(scorer_file, VECTORS, history_items=40).score(HISTORY, LAST, HISTORY[:1])
    assert signals[0, SIGNALS.index("text_nearest")] == pytest.approx(1)


def test_without_candidates_the_whole_catalogue_is_scored(scorer_file):
    scorer = InterestScorer(scorer_file, VECTORS, history_items=40)
    everything = scorer.score(HISTORY, LAST)
    assert everything == pytest.approx(scorer.score(HISTORY, LAST, np.arange(ITEMS)))
    assert everything.min() >= 0
    assert everything.max() <= 1


def test_only_the_latest_items_of_a_history_count(scorer_file):
    scorer = InterestScorer(scorer_file, VECTORS, history_items=3)
    assert scorer.score(HISTORY, LAST) == pytest.approx(
        literal_signals(HISTORY[:3], LAST[:3], np.arange(ITEMS)), abs=1e-5
    )


def test_a_user_without_a_history_gets_zeros(scorer_file):
    scorer = InterestScorer(scorer_file, VECTORS, history_items=40)
    nothing = np.array([], dtype=np.int64), np.array([], dtype=np.bool_)
    for signals, rows in ((scorer.score(*nothing), ITEMS), (scorer.score(*nothing, np.array([1, 2])), 2)):
        assert signals.dtype == np.float32
        assert signals.tolist() == [[0, 0, 0]] * rows


def test_no_candidates_are_no_rows(scorer_file):
    scorer = InterestScorer(scorer_file, VECTORS, history_items=40)
    assert scorer.score(HISTORY, LAST, np.array([], dtype=np.int64)).shape == (0, 3)


def test_vectors_on_the_disk_score_as_those_in_memory(scorer_file, tmp_path):
    np.save(tmp_path / "vectors.npy", VECTORS)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    on_disk, in_memory = (InterestScorer(scorer_file, vectors, history_items=40) for vectors in (mapped, VECTORS))
    for candidates in (None, np.array([7, 1])):
        found = on_disk.score(HISTORY, LAST, candidates)
        assert found.tolist() == in_memory.score(HISTORY, LAST, candidates).tolist()
    assert on_disk.vectors is mapped


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
