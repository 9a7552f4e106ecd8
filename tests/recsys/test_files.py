import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.sources import delimited, jsonlines
from recsys.sources.files import find_files, read_file
from tests.recsys.project import write_as


def read(path: Path, content: bytes | str) -> tuple[list[tuple[int, ...]], list[tuple[int, str]]]:
    """(line, value, …) of every row and (line, reason) of every broken line of a file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    chunks = list(read_file(path))
    rows = [(line, *row) for chunk in chunks for line, row in zip(chunk.lines, chunk.rows.iter_rows(), strict=True)]
    return rows, [(line.line, line.reason) for chunk in chunks for line in chunk.broken]


def test_csv_rows_carry_the_line_where_they_start(tmp_path):
    rows, broken = read(tmp_path / "a.csv", 'a,b\n1,one\n2,"two\nlines"\n\n3,three')
    assert rows == [(2, "1", "one"), (3, "2", "two\nlines"), (6, "3", "three")]
    assert broken == []


def test_csv_skips_a_byte_order_mark_and_reads_windows_line_ends(tmp_path):
    rows, _ = read(tmp_path / "a.csv", b'\xef\xbb\xbfa,b\r\n1,"x,y"\r\n2,z\r\n')
    assert rows == [(2, "1", "x,y"), (3, "2", "z")]
    assert next(read_file(tmp_path / "a.csv")).rows.columns == ["a", "b"]


def test_an_empty_csv_field_is_null(tmp_path):
    assert read(tmp_path / "a.csv", "a,b,c\n1,,\n")[0] == [(2, "1", None, None)]


def test_csv_rows_with_too_many_or_too_few_fields_are_broken_and_the_others_stay(tmp_path):
    rows, broken = read(tmp_path / "a.csv", "a,b\n1,2\n1,2,3\n1\n3,4\n")
    assert rows == [(2, "1", "2"), (5, "3", "4")]
    assert broken == [(3, "3 fields, expected 2"), (4, "1 fields, expected 2")]


def test_an_open_quote_costs_its_own_line_only(tmp_path):
    rows, broken = read(tmp_path / "a.csv", 'a,b\n1,2\n"1,2\n3,4\n5,"6"\n')
    assert [row[0] for row in rows] == [2, 4, 5]
    assert [line for line, _ in broken] == [3]


def test_bytes_that_are_not_utf8_cost_their_own_line_only(tmp_path):
    for quote in (b"", b'"'):
        rows, broken = read(tmp_path / "a.csv", b"a,b\n1," + quote + b"\xff" + quote + b"\n2,\xc3\xa9\n")
        assert rows == [(3, "2", "é")]
        assert broken == [(2, "invalid UTF-8")]


def test_a_csv_record_may_go_over_the_end_of_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 8)
    rows, broken = read(tmp_path / "a.csv", 'a,b\n1,2\n2,"one\ntwo\nthree"\n3,4\n"5\n6,7\n')
    assert rows == [(2, "1", "2"), (3, "2", "one\ntwo\nthree"), (6, "3", "4"), (8, "6", "7")]
    assert [line for line, _ in broken] == [7]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6).filter(lambda text: text != "")


@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=8), block=st.sampled_from([4, 16, 1 << 20]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_csv_and_json_lines_come_back_as_they_were_written(tmp_path, rows, block):
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block)
        patch.setattr(jsonlines, "BLOCK_BYTES", block)
        for name in ("a.csv", "a.jsonl"):
            write_as(frame, tmp_path / name)
            chunks = list(read_file(tmp_path / name))
            assert [row for chunk in chunks for row in chunk.rows.iter_rows()] == rows
            assert not any(chunk.broken for chunk in chunks)


@given(
    tokens=st.lists(st.sampled_from(["a", "é", ",", '"', '""', '","', "\n", "\r\n"]), max_size=24),
    header=st.sampled_from(["x", "x,y", "x,y,z"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_the_fast_way_through_a_csv_block_finds_what_the_careful_one_does(tmp_path, tokens, header):
    def found() -> tuple[list[tuple[int, ...]], list[int]]:
        rows, broken = read(tmp_path / "a.csv", f"{header}\n{''.join(tokens)}")
        return [tuple(value or None for value in row) for row in rows], [line for line, _ in broken]

    fast = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited._Lines, "of", lambda block: None)
        assert found() == fast


def test_broken_json_and_json_that_is_no_object_are_refused_line_by_line(tmp_path):
    lines = ['{"a": 1}', '{"a": ', "", "[1]", "null", "7", '"x"', "true", "{}", '{"a": 2}']
    rows, broken = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert rows == [(1, 1), (10, 2)]
    assert [line for line, _ in broken] == [2, 4, 5, 6, 7, 8, 9]
    assert broken[0][1].startswith("broken JSON: ")
    assert broken[1][1] == "a list, expected a JSON object"


def test_json_bytes_that_are_not_utf8_cost_their_own_line_only(tmp_path):
    rows, broken = read(tmp_path / "a.ndjson", b'\xef\xbb\xbf{"a": "\xff"}\n{"a": "x"}\n')
    assert rows == [(2, "x")]
    assert broken == [(1, "invalid UTF-8")]


def test_a_json_column_takes_the_type_of_its_values_and_text_where_they_differ(tmp_path):
    lines = [
        {"int": 1, "float": 1, "text": "007", "mixed": 1, "list": ["a"], "numbers": [1, 2], "big": 2**70},
        {"int": None, "float": 2.5, "text": None, "mixed": "x", "list": [], "numbers": [], "big": 1},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows = next(read_file(tmp_path / "a.jsonl")).rows
    assert rows.to_dict(as_series=False) == {
        "int": [1, None],
        "float": [1.0, 2.5],
        "text": ["007", None],
        "mixed": ["1", "x"],
        "list": [["a"], []],
        "numbers": [[1, 2], []],
        "big": [str(2**70), "1"],
    }


def test_parquet_rows_are_numbered_from_one_across_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("recsys.sources.parquet.BATCH_ROWS", 2)
    pl.DataFrame({"a": [7, 8, 9]}).write_parquet(tmp_path / "a.parquet")
    chunks = list(read_file(tmp_path / "a.parquet"))
    assert [chunk.lines.to_list() for chunk in chunks] == [[1, 2], [3]]


def test_a_folder_is_read_by_name_with_the_folders_in_it_and_without_hidden_files(tmp_path):
    for name in ("day=2/x.csv", "day=1/y.csv", "a.jsonl", ".b.csv", "_SUCCESS", "_tmp/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in find_files(tmp_path)] == [
        "a.jsonl",
        "day=1/y.csv",
        "day=2/x.csv",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file or folder"),
        ("folder", None, "the folder is empty"),
        ("a.xlsx", b"", "found .xlsx, expected one of .parquet"),
        ("a", b"", "found no extension"),
        ("a.csv", b"", "the file is empty"),
        ("b.csv", b"\xff\xfea\0", "the file is UTF-16"),
        ("c.csv", b"a,\xff\n", "expected the column names in UTF-8"),
        ("d.csv", b"a,b,a\n", r"the column names \['a'\] stand there twice"),
        ("a.jsonl", b"\n \n", "the file is empty"),
        ("b.jsonl", b'[{"a": 1}]', "the file is one JSON array"),
        ("a.parquet", b"PAR1", "expected a readable Parquet file"),
    ],
)
def test_what_cannot_be_read_at_all_is_an_error_that_names_the_file(tmp_path, name, content, message):
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        list(read_file(find_files(tmp_path / name)[0]))
