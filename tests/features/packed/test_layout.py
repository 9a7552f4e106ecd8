from datetime import UTC, datetime, timedelta

from features.packed.layout import RowLayout, stamp_of

FEATURES = (("b", "Float32"), ("a", "Float32"), ("n", "Int64"), ("title", "String"))
MOMENT = datetime(1970, 1, 1, 0, 0, 0, 5, tzinfo=UTC)


def test_stamps_compare_as_their_moments_do():
    moments = [datetime(1, 1, 1), datetime(1969, 12, 31), MOMENT, MOMENT + timedelta(microseconds=1), datetime.max]
    stamps = [stamp_of(moment) for moment in moments]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 5


def test_the_id_changes_with_project_view_name_and_type_and_not_with_the_order():
    def id_of(*features, project="p", view="v"):
        return RowLayout(project, view, features).id

    same = id_of(*FEATURES)
    assert id_of(*reversed(FEATURES)) == same
    others = {
        id_of(*FEATURES, project="q"),
        id_of(*FEATURES, view="w"),
        id_of(*FEATURES[1:]),
        id_of(("c", "Float32"), *FEATURES[1:]),
        id_of(("b", "Float64"), *FEATURES[1:]),
        id_of(("b", "Array(Float32)"), *FEATURES[1:]),
        id_of(("b", "Array(Float64)"), *FEATURES[1:]),
    }
    assert same not in others
    assert len(others) == 7
