import re

from tests.training.drift.reports import full_report, report_of
from training.drift.page import write_page


def test_the_page_plots_each_kind_escapes_names_and_needs_nothing_else(tmp_path):
    write_page("a <shop>", full_report(), tmp_path / "drift.html")
    page = (tmp_path / "drift.html").read_text()
    assert page.count("<svg") == 4
    assert "3 alerts" in page
    assert "a &lt;shop&gt;" in page
    assert "<shop>" not in page
    assert "<cups>" not in page
    assert "the log is short" in page
    assert not re.search(r'(src|href)="(?!#)', page)
    for spoken in ("item_users_7d 0.50", "place 1 10.0%, expected 20.0%", "lamps from 10.0% to 30.0%"):
        assert spoken in page


def test_what_was_not_measured_has_no_plot(tmp_path):
    write_page("shop", report_of(champion=None, features_of=None), tmp_path / "drift.html")
    page = (tmp_path / "drift.html").read_text()
    assert "<svg" not in page
    assert "Nothing has moved" in page
    assert "none yet" in page
