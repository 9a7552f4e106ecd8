"""The source that [source] of a recsys.toml names."""

from pathlib import Path

from recsys.config import Source as SourceConfig
from recsys.errors import ConfigError
from recsys.schema import TABLES
from recsys.sources import Source
from recsys.sources.amazon_reviews import AmazonReviews
from recsys.sources.files import FileSource
from recsys.sources.metarank import Metarank
from recsys.sources.mind import Mind
from recsys.sources.movielens import MovieLens
from recsys.sources.online_retail import OnlineRetail

OWN_NAMES = ("files", "metarank")
"""Formats whose columns have names that users gave, so that [columns] can say what they are."""


def open_source(root: Path, config: SourceConfig) -> Source:
    """The log of a [source] section, whose paths are relative to root.

    Raises ConfigError when it names a path that its format has no use for, DataError when none of its files is there.
    """
    if config.format == "files":
        return FileSource.of(root, config)
    taken = ("items", "interactions") if config.format == "amazon_reviews" else ("interactions",)
    if other := [table for table in TABLES if getattr(config, table) is not None and table not in taken]:
        raise ConfigError(
            f"recsys.toml: [source] names {' and '.join(other)}, but format {config.format} finds its tables in what "
            f"stands under {' and '.join(taken)}; remove the other paths"
        )
    assert config.interactions is not None, "load_config refuses these formats without them"
    path = root / config.interactions
    match config.format:
        case "online_retail":
            return OnlineRetail(path)
        case "mind":
            return Mind(path)
        case "movielens":
            return MovieLens(path)
        case "amazon_reviews":
            return AmazonReviews(path, None if config.items is None else root / config.items)
        case "metarank":
            return Metarank(path)
