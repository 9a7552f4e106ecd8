from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys.errors import DataError
from recsys.importing import import_command, import_tables
from recsys.sources import separated
from recsys.workspace import Workspace
from tests.recsys.project import column, project_of, refusals

TYPES = "like = { label = true }\nrating = { weight = 0.2 }"
# Lines of the publications, and some that are broken.
ML_1M = {
    "ratings.dat": "1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n",
    "movies.dat": "661::James and the Giant Peach (1996)::Animation|Children's|Musical\n"
    "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
    "1212::Misérables, Les (1995)::Drama|Musical\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::01234\n",
}
SMALL = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,11,3.5,964982224\n",
    "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy\n"
    '11,"American President, The (1995)",(no genres listed)\n',
    "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n",
    "tags.csv": "userId,movieId,tag,timestamp\n2,60756,funny,1445714994\n",
}
ML_100K = {
    "u.data": "196\t1\t3\t881250949\n186\t2\t5\t891717742\n",
    "u.item": "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"
    "|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "2|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
    "u.user": "186|39|F|executive|00000\n196|49|M|writer|55105\n",
}


def movielens(root: Path, files: dict[str, str], encoding: str = "utf-8") -> Workspace:
    (root / "ml").mkdir()
    for name, text in files.items():
        (root / "ml" / name).write_bytes(text.encode(encoding))
    return project_of(root, {"format": "movielens", "interactions": "ml"}, types=TYPES)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_ml_1m_is_imported_with_likes_ratings_movies_and_users(tmp_path, encoding):
    workspace = movielens(tmp_path, ML_1M, encoding)
    result = CliRunner().invoke(import_command, ["--config", str(tmp_path / "recsys.toml")])
    assert result.exit_code == 0, result.output
    log = workspace.read_table("interactions").select("user_id", "item_id", "event_type", "value", "timestamp")
    assert log.rows() == [
        ("2", "1193", "like", 4.0, datetime(2000, 12, 31, 21, 33, 33, tzinfo=UTC)),
        ("1", "1193", "like", 5.0, datetime(2000, 12, 31, 22, 12, 40, tzinfo=UTC)),
        ("1", "661", "rating", 3.0, datetime(2000, 12, 31, 22, 35, 9, tzinfo=UTC)),
    ]
    items = workspace.read_table("items").select("title", "category", "genres", "year")
    assert items.rows() == [
        ("James and the Giant Peach (1996)", "Animation", "Animation, Children's, Musical", 1996),
        ("One Flew Over the Cuckoo's Nest (1975)", "Drama", "Drama", 1975),
        ("Misérables, Les (1995)", "Drama", "Drama, Musical", 1995),
    ]
    assert workspace.read_table("users").rows() == [("1", "F", 1, 10, "48067"), ("2", "M", 56, 16, "01234")]


def test_latest_small_has_no_users_and_half_stars(tmp_path):
    workspace = movielens(tmp_path, SMALL)
    assert list(import_tables(workspace).tables) == ["items", "interactions"]
    log = workspace.read_table("interactions").select("item_id", "event_type", "value")
    assert log.rows() == [("11", "rating", 3.5), ("1", "like", 4.0)]
    assert workspace.read_table("items").select("title", "category", "genres").rows() == [
        ("Toy Story (1995)", "Adventure", "Adventure, Animation, Children, Comedy, Fantasy"),
        ("American President, The (1995)", None, None),
    ]


def test_ml_100k_has_genres_as_flags_and_days_of_release(tmp_path):
    workspace = movielens(tmp_path, ML_100K)
    import_tables(workspace)
    items = workspace.read_table("items").select("title", "category", "genres", "year", "published_at")
    assert items.rows() == [
        ("Toy Story (1995)", "Animation", "Animation, Children's, Comedy", 1995, datetime(1995, 1, 1, tzinfo=UTC)),
        ("unknown", None, None, None, None),
    ]
    assert workspace.read_table("users").rows() == [
        ("186", 39, "F", "executive", "00000"),
        ("196", 49, "M", "writer", "55105"),
    ]
    assert column(workspace, "interactions", "event_type") == ["rating", "like"]


def test_broken_lines_are_put_aside_with_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(separated, "BLOCK_BYTES", 16)
    ratings = "1::661\n\n1::661::many::978302109\n1::661::::978302109\n1::7::5::978302109\n1::661::5::\n"
    movies = "::Nobody's (1996)::Drama\n8::\t::Drama\n9::A::B::C\n"
    files = {
        **ML_1M,
        "ratings.dat": ML_1M["ratings.dat"] + ratings,
        "movies.dat": movies + ML_1M["movies.dat"],
        "users.dat": ML_1M["users.dat"] + "2::F::1::10::48067\n",
    }
    workspace = movielens(tmp_path, files)
    import_tables(workspace)
    assert refusals(workspace, "interactions") == [
        (4, "2 fields, expected 4"),
        (6, "unreadable value"),
        (7, "missing event_type"),
        (8, "unknown item_id"),
        (9, "missing timestamp"),
    ]
    assert refusals(workspace, "items") == [
        (1, "missing item_id"),
        (2, "missing title"),
        (3, "4 fields, expected 3"),
    ]
    assert refusals(workspace, "users") == [(3, "duplicate user_id")]
    assert column(workspace, "interactions", "value") == [4.0, 5.0, 3.0]


def test_another_folder_and_other_columns_are_errors(tmp_path):
    workspace = movielens(tmp_path, {"ratings.csv": "userId,movieId\n1,1\n"})
    with pytest.raises(DataError, match=r"ml: expected a folder of MovieLens, with u\.data with u\.item or ratings"):
        import_tables(workspace)
    (tmp_path / "ml" / "movies.csv").write_text(SMALL["movies.csv"])
    with pytest.raises(
        DataError, match=r"ratings\.csv: found the columns \['userId', 'movieId'\], .*'timestamp'\] are"
    ):
        import_tables(workspace)
