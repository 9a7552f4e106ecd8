"""What a rating in stars says: who gives 4 or more liked it, who gives less had it all the same."""

import polars as pl

LIKE, RATING = "like", "rating"
LIKED_FROM = 4.0


def event_type_of(stars: pl.Expr) -> pl.Expr:
    """`like` for 4 stars or more, else `rating`; null where nothing is given. stars: numbers, or text of them."""
    number = stars.cast(pl.Float64, strict=False)
    return pl.when(number >= LIKED_FROM).then(pl.lit(LIKE)).when(stars.is_not_null()).then(pl.lit(RATING))
