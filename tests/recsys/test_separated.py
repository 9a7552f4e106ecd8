import gzip
from pathlib import Path

import pytest

from recsys.sources import separated
from recsys.sources.lines import read_blocks
from recsys.sources.separated import read_separated


def read(path: Path, content: bytes, *, latin: bool = False) -> tuple[list[tuple[object, ...]], list[tuple[int, str]]]:
    """(line, value, value) of every row and (line, reason) of every broken line."""
    path.write_bytes(content)
    chunks = list(read_separated(path, ("a", "b"), "::", latin=latin))
    rows = [(line, *row) for chunk in chunks for line, row in zip(chunk.lines, chunk.rows.iter_rows(), strict=True)]
    return rows, [(line.line, line.reason) for chunk in chunks for line in chunk.broken]


def test_rows_carry_their_line_and_quotes_are_text(tmp_path):
    rows, broken = read(tmp_path / "a.dat", b'\xef\xbb\xbf1::"x\r\n\r\n \n2::y"::\n3::z')
    assert rows == [(1, "1", '"x'), (5, "3", "z")]
    assert broken == [(4, "3 fields, expected 2")]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_a_line_that_is_not_utf8_is_latin_or_refused(tmp_path, monkeypatch, block):
    monkeypatch.setattr(separated, "BLOCK_BYTES", block)
    content = "1::é\n".encode() + "2::é\n".encode("latin-1") + b"3\n4::d\n"
    assert read(tmp_path / "a.dat", content) == (
        [(1, "1", "é"), (4, "4", "d")],
        [(2, "invalid UTF-8"), (3, "1 fields, expected 2")],
    )
    assert read(tmp_path / "a.dat", content, latin=True) == (
        [(1, "1", "é"), (2, "2", "é"), (4, "4", "d")],
        [(3, "1 fields, expected 2")],
    )


@pytest.mark.parametrize("block", [1, 3, 100])
def test_blocks_are_whole_lines_whose_sizes_make_the_file(tmp_path, block):
    content = b"one\ntwo\n\nthree"
    for path, written in ((tmp_path / "a.txt", content), (tmp_path / "a.txt.gz", gzip.compress(content))):
        path.write_bytes(written)
        blocks = list(read_blocks(path, block))
        assert b"".join(part.data for part in blocks) == content + b"\n"
        assert all(part.first_line == 1 + content[: content.find(part.data[:2])].count(b"\n") for part in blocks[:2])
        assert sum(part.size for part in blocks) == len(written)
