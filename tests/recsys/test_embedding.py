import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys import embedding
from recsys.bundle import Manifest, promote, publish
from recsys.embedding import embed, embed_command
from recsys.encoder import ItemEncoder
from recsys.errors import DataError
from recsys.importing import import_tables
from tests.recsys.project import ITEMS, interactions, project
from tests.recsys.wordmodel import word_encoder, write_word_model

ROOT = Path(__file__).parents[2]
WORDS = {"red": [1, 0], "apple": [0, 1], "pear": [0, -1]}


@pytest.fixture
def encoder(tmp_path: Path) -> ItemEncoder:
    return word_encoder(tmp_path, WORDS)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "embeddings.db"


def costs(texts: list[str], encoder: ItemEncoder, cache: Path) -> tuple[int, int]:
    """How many texts were encoded, and how many were in the cache; the vectors must be right in either case."""
    done = embed(texts, encoder, cache)
    assert done.vectors == pytest.approx(encoder.encode(texts), abs=1e-6)
    return done.encoded, done.reused


def encoders_in(cache: Path) -> list[tuple[str, int]]:
    query = "SELECT fingerprint, count(*) FROM encoders JOIN vectors ON id = encoder GROUP BY id ORDER BY used_at"
    with closing(sqlite3.connect(cache)) as connection:
        return connection.execute(query).fetchall()


def test_only_new_and_changed_texts_are_encoded(encoder, cache):
    assert costs(["red", "apple", "red pear"], encoder, cache) == (3, 0)
    assert costs(["red", "apple", "red pear"], encoder, cache) == (0, 3)
    assert costs(["red", "red apple", "red pear"], encoder, cache) == (1, 2)


def test_long_work_shows_its_progress_and_short_work_is_silent(encoder, cache, capsys, monkeypatch):
    monkeypatch.setattr(embedding, "LONG_WORK", 2)
    embed(["red", "pear"], encoder, cache)
    assert capsys.readouterr().err == ""
    embed([str(number) for number in range(3)], encoder, cache)
    assert capsys.readouterr().err.startswith("encoding …\nencoding: ")


def test_items_with_the_same_text_cost_one(encoder, cache):
    assert costs(["red", "pear", "red", ""], encoder, cache) == (3, 0)
    assert costs(["", "red", "red"], encoder, cache) == (0, 2)


def test_an_empty_catalogue_costs_nothing(encoder, cache):
    assert costs([], encoder, cache) == (0, 0)


def test_any_text_has_its_own_place_in_the_cache(encoder, cache):
    odd = ["", " ", "🎄", "红色", "\x00", "\ud83d", "x" * 10_000, "x" * 10_001]
    assert costs(odd, encoder, cache) == (8, 0)
    assert costs(odd, encoder, cache) == (0, 8)


def test_another_encoder_finds_nothing_and_the_oldest_of_three_is_dropped(tmp_path, cache):
    encoders = []
    for nth in range(3):
        folder = tmp_path / str(nth)
        folder.mkdir()
        encoders.append(word_encoder(folder, WORDS | {"pear": [nth, 1]}))
        assert costs(["red", "pear"], encoders[-1], cache) == (2, 0)
    assert encoders_in(cache) == [(encoders[1].fingerprint, 2), (encoders[2].fingerprint, 2)]
    assert costs(["red", "pear"], encoders[1], cache) == (0, 2)
    assert costs(["red"], encoders[0], cache) == (1, 0)
    # The second was used after the third.
    assert encoders_in(cache) == [(encoders[1].fingerprint, 2), (encoders[0].fingerprint, 1)]


def test_a_file_that_is_no_cache_is_named(encoder, tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, and longer than a header " * 100)
    with pytest.raises(DataError, match=r"notes\.txt: file is not a database; expected a cache of vectors"):
        embed(["red"], encoder, tmp_path / "notes.txt")


KILLED = """
import sys, time
from pathlib import Path
from recsys import embedding
from recsys.bundle_files import ENCODER_FILE, TOKENIZER_FILE
from recsys.encoder import ItemEncoder

class Slow(ItemEncoder):
    def batches(self, texts, **options):
        for nth, batch in enumerate(super().batches(texts, **options)):
            if nth == 3:
                print("three batches are done", flush=True)
                time.sleep(60)
            yield batch

embedding.SECONDS_BETWEEN_WRITES = 0
folder = Path(sys.argv[1])
encoder = Slow(folder / ENCODER_FILE, folder / TOKENIZER_FILE, max_tokens=8)
encoder._tokens_a_batch = 20
embedding.embed([f"red apple {n}" for n in range(100)], encoder, Path(sys.argv[2]))
"""


def test_a_run_that_was_killed_goes_on_where_it_stopped(encoder, cache, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "three batches are done\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    # A batch holds 6 texts of 3 tokens.
    assert costs([f"red apple {n}" for n in range(100)], encoder, cache) == (82, 18)
    assert costs([f"red apple {n}" for n in range(100)], encoder, cache) == (0, 100)


def test_the_command_embeds_the_catalogue_with_the_champion_and_says_what_was_new(tmp_path):
    workspace = project(tmp_path, interactions=interactions("u,a,purchase,2024-05-01"), items=ITEMS)
    import_tables(workspace)
    manifest = Manifest(
        bundle_id="words",
        created_at=datetime.now(UTC),
        dataset="test",
        trained_from=None,
        trained_until=None,
        versions={},
        features=[],
        text={"template": "{title}", "column_tokens": {}, "max_tokens": 8},
    )
    publish(workspace.bundles, manifest, lambda folder: write_word_model(folder, WORDS))
    promote(workspace.bundles, "words")
    config = str(tmp_path / "recsys.toml")
    first, second = (CliRunner().invoke(embed_command, ["--config", config]) for _ in range(2))
    assert re.search(r"2 items of words: 2 texts new, 0 reused, \d+ texts/s\n", first.output)
    assert second.output.endswith("2 items of words: 0 texts new, 2 reused\n")
