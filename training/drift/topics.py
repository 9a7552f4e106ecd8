"""Topics: items whose texts are alike, each by its most telling words, and their share of what users did.

k-means over the vectors of the item texts, always from the same start: the same vectors give the same topics. A topic
is named by the words that are in more of its texts than elsewhere (class-based tf-idf: M. Grootendorst, "BERTopic:
Neural topic modeling with a class-based TF-IDF procedure", 2022).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from recsys.catalogue import Catalogue
from recsys.config import Drift
from recsys.drift import Figure, Span, Topic
from recsys.interest import Vectors
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.state import Floats, Positions
from training.drift.periods import Periods, within
from training.drift.stability import moved_share

MOST_TOPICS: Final = 24
"""More than a person looks through, and each has too few items to say anything of."""

ROUNDS: Final = 25
STARTS: Final = 3
SEED: Final = 0
WORDS: Final = 3
WEEKS: Final = 26
"""So many of the latest are shown."""

WEEKLY: Final = timedelta(days=7)
ROWS_AT_ONCE: Final = 50_000

_WORD: Final = re.compile(r"[^\W\d_]{3,}")
TOPIC: Final = "topic"


@dataclass(frozen=True)
class Topics:
    """The topics of a catalogue: names, and int64 (n_items,) which one each item is of."""

    names: list[str]
    of_items: Positions

    @classmethod
    def of(cls, vectors: Vectors, texts: Sequence[str], now: Vectors) -> "Topics":
        """Of the unit vectors of a bundle, float32 (n_known, d), n_known ≥ 1, and the texts that they are of.

        now  float32 (n_items, d), the items of the catalogue, each of the nearest topic

        As long as a bundle serves, its topics and their names stay the same.
        """
        means = centres(vectors, int(np.clip(round((len(vectors) / 2) ** 0.5), 1, MOST_TOPICS)))
        return cls(telling_words(texts, nearest(means, vectors), len(means)), nearest(means, now))


def centres(vectors: Vectors, count: int) -> Vectors:
    """Of at most `count` clusters of the rows, each of which has some: float32 (n, d)."""
    import faiss

    settings = {"niter": ROUNDS, "nredo": STARTS, "seed": SEED, "spherical": True, "min_points_per_centroid": 1}
    means = faiss.Kmeans(vectors.shape[1], min(count, len(vectors)), **settings)
    means.train(np.ascontiguousarray(vectors, dtype=np.float32))
    found: Vectors = np.asarray(means.centroids)
    return found[np.unique(nearest(found, vectors))]


def nearest(means: Vectors, vectors: Vectors) -> Positions:
    """The nearest mean of each row: int64 (n,)."""
    parts = (vectors[start : start + ROWS_AT_ONCE] for start in range(0, len(vectors), ROWS_AT_ONCE))
    found = [np.argmax(part @ means.T, axis=1) for part in parts]
    return np.concatenate([np.empty(0, dtype=np.int64), *found])


def telling_words(texts: Sequence[str], clusters: Positions, count: int) -> list[str]:
    """Of each of so many clusters its WORDS most telling words, the most telling first; no two have the same name."""
    counts = [Counter[str]() for _ in range(count)]
    for text, cluster in zip(texts, clusters.tolist(), strict=True):
        # Once a text: long ones would speak for all others.
        counts[cluster].update(set(_WORD.findall(text.lower())))
    everywhere = sum(counts, Counter[str]())
    per_cluster = everywhere.total() / len(counts)
    names: list[str] = []
    for own in counts:
        weights = {word: n / own.total() * np.log1p(per_cluster / everywhere[word]) for word, n in own.items()}
        best = sorted(weights, key=lambda word: (-weights[word], word))
        name = " ".join(best[:WORDS]) or "without words"
        same = sum(other == name or other.startswith(f"{name} #") for other in names)
        names.append(f"{name} #{same + 1}" if same else name)
    return names


def topic_figures(
    settings: Drift, topics: Topics, interactions: pl.DataFrame, catalogue: Catalogue, periods: Periods
) -> list[Figure]:
    """Of each topic. What a user does with it on a day counts once, so that nobody makes a topic surge alone."""
    then, now = (_counted(within(_told(topics, interactions, catalogue), span), topics) for span in _spans(periods))
    users = tuple(float(within(interactions, span)[USER_ID].n_unique()) for span in _spans(periods))
    return [
        moved_share(
            settings,
            "topics",
            name,
            (then[at], then.sum()),
            (now[at], now.sum()),
            independent=(users[0], users[1]),
        )
        for at, name in enumerate(topics.names)
    ]


def topics_by_week(
    topics: Topics, interactions: pl.DataFrame, catalogue: Catalogue, periods: Periods
) -> tuple[list[date], list[Topic]]:
    """When the latest weeks begin, each seven days up to the end of the log, and the shares of the topics in them."""
    told = _told(topics, interactions, catalogue)
    ends = [periods.latest.until - back * WEEKLY for back in range(WEEKS)]
    whole = [until for until in reversed(ends) if until - WEEKLY >= periods.first] or ends[:1]
    spans = [Span(until - WEEKLY, until) for until in whole]
    counts = np.stack([_counted(within(told, span), topics) for span in spans])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    sizes = np.bincount(topics.of_items, minlength=len(topics.names)).tolist()
    return (
        [span.since.date() for span in spans],
        [Topic(name, sizes[at], shares[:, at].tolist()) for at, name in enumerate(topics.names)],
    )


def _told(topics: Topics, interactions: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """USER_ID, TIMESTAMP and TOPIC of the interactions with items of the catalogue."""
    position = pl.col(ITEM_ID).replace_strict(catalogue.index, default=None, return_dtype=pl.Int64)
    rows = interactions.select(USER_ID, TIMESTAMP, position.alias(TOPIC)).drop_nulls(TOPIC)
    return rows.with_columns(pl.Series(TOPIC, topics.of_items[rows[TOPIC].to_numpy()]))


def _counted(rows: pl.DataFrame, topics: Topics) -> Floats:
    """How many users were busy with each topic, summed over the days: float64 (n_topics,)."""
    once = rows.select(USER_ID, pl.col(TIMESTAMP).dt.date(), TOPIC).unique()
    return np.bincount(once[TOPIC].to_numpy(), minlength=len(topics.names)).astype(np.float64)


def _spans(periods: Periods) -> tuple[Span, Span]:
    return periods.reference, periods.latest
