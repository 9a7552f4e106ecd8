from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.bundle_files import ENCODER_FILE, FP16_ENCODER_FILE, INT8_ENCODER_FILE
from tests.recsys.wordmodel import write_word_model
from training.precisions import write_checked

WORDS = {"red": (1.0, 0.0), "lamp": (0.6, 0.8)}
TEXTS = ["red", "lamp"]


def word_model(**words: tuple[float, float]) -> Callable[[Path], None]:
    """Writes the encoder of WORDS with some words changed."""

    def write(path: Path) -> None:
        folder = path.parent / "other"
        folder.mkdir(exist_ok=True)
        write_word_model(folder, WORDS | words)
        (folder / ENCODER_FILE).replace(path)

    return write


def second_value_of_lamp(vectors: np.ndarray) -> float:
    """Stands for ndcg@10: 0.8 in float32."""
    return float(vectors[1, 1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_word_model(tmp_path, WORDS)
    return tmp_path


def checked(folder: Path, fp16: Callable[[Path], None], int8: Callable[[Path], None]) -> dict[str, dict]:
    writers = {"fp16": fp16, "int8": int8}
    return write_checked(folder, writers, max_tokens=8, texts=TEXTS, ndcg=second_value_of_lamp)


def test_a_file_is_kept_if_at_most_one_per_cent_of_ndcg_is_lost(folder):
    # sin(atan(.795 / .607)) = .795, sin(atan(.79 / .613)) = .790: six and twelve thousandths less than .8
    figures = checked(folder, fp16=word_model(lamp=(0.60661, 0.795)), int8=word_model(lamp=(0.6131, 0.79)))
    assert figures["fp16"]["kept"]
    assert figures["fp16"]["ndcg_change"] == pytest.approx(-0.00625, abs=1e-5)
    assert figures["fp16"]["bytes"] == (folder / FP16_ENCODER_FILE).stat().st_size
    assert not figures["int8"]["kept"]
    assert figures["int8"]["ndcg_change"] == pytest.approx(-0.0125, abs=1e-5)
    assert figures["int8"]["reason"] == "ndcg@10 changes by -1.2%, expected at least -1%"
    assert not (folder / INT8_ENCODER_FILE).exists()


def test_vectors_that_are_no_numbers_are_not_kept(folder):
    figures = checked(folder, fp16=word_model(red=(np.nan, 0.0)), int8=word_model())
    assert figures["fp16"]["reason"] == "ValueError: 1 of 2 vectors are no numbers"
    assert not (folder / FP16_ENCODER_FILE).exists()
    assert figures["int8"]["ndcg_change"] == 0
    assert (folder / INT8_ENCODER_FILE).exists()


def test_a_file_that_cannot_be_written_or_read_says_why(folder):
    def unknown_operator(path: Path) -> None:
        raise KeyError("no rule for Gather")

    def broken(path: Path) -> None:
        path.write_bytes(b"no model")

    figures = checked(folder, fp16=unknown_operator, int8=broken)
    assert figures["fp16"] == {"kept": False, "reason": "KeyError: 'no rule for Gather'"}
    assert "expected an item encoder" in figures["int8"]["reason"]
    assert not (folder / INT8_ENCODER_FILE).exists()


def test_where_float32_finds_nothing_there_is_nothing_to_compare_with(folder):
    writers = {"fp16": word_model(), "int8": word_model()}
    figures = write_checked(folder, writers, max_tokens=8, texts=TEXTS, ndcg=lambda vectors: 0.0)
    assert not figures["fp16"]["kept"]
    assert "ndcg@10 on validation is 0 in float32" in figures["int8"]["reason"]
    assert not (folder / FP16_ENCODER_FILE).exists()
