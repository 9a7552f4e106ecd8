import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys.config import Config, load_config
from recsys.errors import ConfigError, DataError
from recsys.importing import import_command
from recsys.init import init

MOVIELENS = {
    "ml/ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,11,3.5,970000000\n",
    "ml/movies.csv": "movieId,title,genres\n1,Toy Story (1995),Comedy\n11,Jumanji (1995),Children\n",
}
MIND = {
    "MIND/behaviors.tsv": "1\tU1\t11/13/2019 8:36:57 AM\tN1\tN1-1\n2\tU1\t11/15/2019 8:36:57 AM\tN1\tN1-0\n",
    "MIND/news.tsv": "N1\tnews\tworld\tTitle\tAbstract\thttps://x\t[]\t[]\n",
}
EVENTS = (
    {
        "event": "item",
        "item": "a",
        "timestamp": 1599391467000,
        "fields": [{"name": "name", "value": "A"}, {"name": "brand", "value": "B"}],
    },
    {"event": "interaction", "id": "1", "timestamp": 1599391467000, "user": "u", "type": "click", "item": "a"},
    {"event": "interaction", "id": "2", "timestamp": 1599991467000, "user": "u", "type": "cart", "item": "a"},
)
METARANK = {"log/1.jsonl": "\n".join(map(json.dumps, EVENTS))}
AMAZON = {
    "All_Beauty.jsonl": json.dumps({"rating": 5.0, "parent_asin": "B", "user_id": "A", "timestamp": 1588687728923})
    + "\n"
    + json.dumps({"rating": 1.0, "parent_asin": "B", "user_id": "A", "timestamp": 1588787728923}),
    "meta_All_Beauty.jsonl": json.dumps({"parent_asin": "B", "title": "Conditioner"}),
}


def started(root: Path, files: dict[str, str], *options: str) -> Config:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    result = CliRunner().invoke(init, [str(root / "project"), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return load_config(root / "project" / "recsys.toml")


def types_of(config: Config) -> dict[str, tuple[float, bool]]:
    return {name: (kind.weight, kind.label) for name, kind in config.interaction_types.items()}


@pytest.mark.parametrize(
    ("log_format", "files", "paths", "types", "template"),
    [
        ("movielens", MOVIELENS, ["ml"], {"like": (1.0, True), "rating": (0.2, False)}, "{title}. {genres}"),
        ("mind", MIND, ["MIND"], {"click": (1.0, True), "history": (1.0, False)}, "{title}. {description}"),
        (
            "amazon_reviews",
            AMAZON,
            ["All_Beauty.jsonl", "meta_All_Beauty.jsonl"],
            {"like": (1.0, True), "rating": (0.2, False)},
            "{title}. {category}. {description}",
        ),
    ],
)
def test_a_project_of_a_known_log_is_written_and_can_be_imported(tmp_path, log_format, files, paths, types, template):
    options = [option for pair in zip(("--interactions", "--items"), paths, strict=False) for option in pair]
    options = [str(tmp_path / option) if option in paths else option for option in options]
    config = started(tmp_path, files, "--format", log_format, *options)
    assert config.source.format == log_format
    assert config.source.interactions == f"../{paths[0]}"
    assert types_of(config) == types
    assert config.text.template == template
    assert config.split.test_start is not None
    result = CliRunner().invoke(import_command, ["--config", str(tmp_path / "project" / "recsys.toml")])
    assert result.exit_code == 0, result.output


def test_the_types_and_the_fields_of_events_are_those_of_the_log(tmp_path):
    options = ("--format", "metarank", "--interactions", str(tmp_path / "log"))
    with pytest.raises(DataError, match=r"have the fields \['name', 'brand', .*with --column items\.title="):
        started(tmp_path, METARANK, *options)
    assert not (tmp_path / "project").exists()
    config = started(tmp_path, METARANK, *options, "--column", "items.title=name")
    assert types_of(config) == {"click": (1.0, True), "cart": (3.0, False)}
    assert config.columns["items"] == {"title": "name"}
    assert config.text.template == "{title}. {brand}"
    result = CliRunner().invoke(import_command, ["--config", str(tmp_path / "project" / "recsys.toml")])
    assert result.exit_code == 0, result.output


def test_what_a_format_has_no_use_for_is_an_error(tmp_path):
    options = ("--format", "movielens", "--interactions", str(tmp_path / "ml"))
    with pytest.raises(DataError, match=r"the columns of movielens are known"):
        started(tmp_path, MOVIELENS, *options, "--column", "items.title=name")
    with pytest.raises(ConfigError, match=r"names items, but format movielens finds its tables in .* interactions;"):
        started(tmp_path, MOVIELENS, *options, "--items", str(tmp_path / "ml"))
