"""The catalogue of a simulated shop: what each item is about, in truth and in its text, category and price."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from recsys.schema import CATEGORY, ITEM_ID, PRICE, PUBLISHED_AT, TITLE, UTC_MICROSECONDS
from recsys.simulation.settings import FIRST_DAY, Settings
from recsys.simulation.words import TOPICS
from recsys.state import Floats, Positions

SYNTHETIC: Final = "synthetic"
"""A column of every table of a simulation, true in every row."""

OTHER_TOPICS: Final = 0.25
"""What an item is about beside its own topic, as a share of the whole."""

NEW_SHARE: Final = 0.2
"""Share of the items that are published while the log runs; the others are older than it."""

QUALITY_SPREAD: Final = 0.6
PRICE_SPREAD: Final = 0.4
TYPICAL_PRICE: Final = 20.0


@dataclass(frozen=True)
class Items:
    """The items by id, and what is true of each.

    table         item_id, title, category, price, published_at, synthetic
    topics        float64 (n_items, n_topics), what each is about; rows sum to 1
    quality       float64 (n_items,), what makes it attractive to everybody, in log odds
    price         float64 (n_items,), how dear it is for its kind, in standard deviations
    published     float64 (n_items,), when it appears, as a share of the log; 0 = before it
    """

    table: pl.DataFrame
    topics: Floats
    quality: Floats
    price: Floats
    published: Floats

    @classmethod
    def made(cls, settings: Settings, random: np.random.Generator) -> "Items":
        count, n_topics = settings.items, len(TOPICS)
        # Every topic has about as many items, however few there are.
        own = random.permutation(np.arange(count) % n_topics)
        topics = OTHER_TOPICS * random.dirichlet(np.full(n_topics, 0.5), count)
        topics[np.arange(count), own] += 1 - OTHER_TOPICS
        quality = random.normal(0, QUALITY_SPREAD, count)
        price = random.normal(0, 1, count)
        of_topic = np.exp(random.normal(0, 0.7, n_topics))
        published = np.where(random.random(count) < NEW_SHARE, random.random(count), 0.0)
        dates = published * timedelta(days=settings.days).total_seconds() * 1e6
        # What is older has an age as well, up to a year.
        ages = random.random(count) * timedelta(days=365).total_seconds() * 1e6
        table = pl.DataFrame(
            {
                ITEM_ID: [f"item-{at:07}" for at in range(count)],
                TITLE: titles(own, topics, random),
                CATEGORY: np.array(list(TOPICS), dtype=object)[own].tolist(),
                PRICE: np.round(TYPICAL_PRICE * of_topic[own] * np.exp(PRICE_SPREAD * price), 2),
                PUBLISHED_AT: pl.Series(
                    np.where(published > 0, dates, -ages).astype(np.int64) + int(FIRST_DAY.timestamp() * 1e6)
                ).cast(UTC_MICROSECONDS),
                SYNTHETIC: np.ones(count, dtype=bool),
            }
        )
        return cls(table, topics, quality, price, published)


def titles(own: Positions, topics: Floats, random: np.random.Generator) -> list[str]:
    """Of each item "adjective noun, adjective": the noun of its own topic, the adjectives of what it is about."""
    adjectives = [words for words, _ in TOPICS.values()]
    nouns = [words for _, words in TOPICS.values()]
    thing = random.integers(len(nouns[0]), size=len(own))
    about = drawn(np.repeat(topics, 2, axis=0), random).reshape(-1, 2)
    which = random.integers(len(adjectives[0]), size=about.shape)
    return [
        f"{adjectives[first][a]} {nouns[topic][n]}, {adjectives[second][b]}"
        for topic, n, (first, second), (a, b) in zip(
            own.tolist(), thing.tolist(), about.tolist(), which.tolist(), strict=True
        )
    ]


def drawn(probabilities: Floats, random: np.random.Generator) -> Positions:
    """A column of each row of float64 (n, m), whose rows sum to 1: int64 (n,)."""
    limits = np.cumsum(probabilities, axis=1)[:, :-1]
    found: Positions = (random.random(len(limits))[:, None] > limits).sum(axis=1)
    return found
