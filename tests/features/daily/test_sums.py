import polars as pl

from features.daily.sums import added, places_in

ROWS = pl.DataFrame({"user": [7, 9, 7, 7], "item": [1, 1, 2, 1], "n": [1, 2, 4, 8], "x": [0.1, 1.0, 5.0, 0.2]})


def test_each_row_is_added_at_the_place_of_its_keys():
    groups = pl.DataFrame({"user": [9, 7, 7], "item": [1, 2, 1]})
    places = places_in(groups, ROWS, "user", "item")
    assert places.tolist() == [0 + 2, 0, 1, 2]
    n, x = added(ROWS.select("n", "x"), places, 3)
    assert (n.to_list(), n.dtype) == ([2, 4, 9], pl.Int64)
    assert x.to_list() == [1.0, 5.0, 0.1 + 0.2]


def test_a_sum_that_is_continued_has_the_bits_of_one_that_was_made_at_once():
    values = [0.1, 0.2, 0.3, 1e16, -1e16, 0.7] * 30
    rows = pl.DataFrame({"x": values})
    [at_once] = added(rows, [0] * len(rows), 1)
    [first] = added(rows[:71], [0] * 71, 1)
    rest = pl.concat([first.to_frame(), rows[71:]])
    [continued] = added(rest, [0] * len(rest), 1)
    assert continued[0] == at_once[0] != sum(sorted(values))


def test_no_rows_have_no_sums():
    none = ROWS.clear()
    assert [column.len() for column in added(none, places_in(none, none, "user"), 0)] == [0] * 4
