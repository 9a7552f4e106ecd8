import polars as pl
from tokenizers import Tokenizer, models

from recsys.catalogue import Catalogue
from recsys.itemtext import ItemText
from tests.training.project import at, catalogue_of
from training.texts_in_time import EVER, TextsInTime

READER = ItemText("{title}", {}, Tokenizer(models.BPE()))


def test_each_text_stands_once_and_an_item_has_at_every_moment_the_one_known_by_then():
    items = pl.DataFrame(
        {
            "item_id": ["a", "b", "b", "b"],
            "title": ["cup", "mug", "jug", "mug"],
            "updated_at": [at(0), at(1), at(5), at(8)],
        }
    )
    found = TextsInTime.of(Catalogue.load(items), READER, [at(2), at(6), at(9)])
    assert found.texts == ["cup", "mug", "jug"]
    assert {moment: rows.tolist() for moment, rows in found.rows.items()} == {
        at(2): [0, 1],
        at(6): [0, 2],
        at(9): [0, 1],
    }
    assert found.seen_until == {at(2): EVER, at(6): at(5), at(9): at(8)}


def test_items_of_equal_texts_have_one_each():
    found = TextsInTime.of(catalogue_of("a", "b", titles=["cup", "cup"]), READER, [at(2)])
    assert found.texts == ["cup", "cup"]
    assert found.rows[at(2)].tolist() == [0, 1]
