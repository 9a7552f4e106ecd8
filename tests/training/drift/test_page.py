import re

from msgspec.structs import replace

from tests.training.drift.reports import figure, full_report, report_of
from training.drift.page import stability_plot, write_page


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


def test_what_chance_can_do_is_shown_also_where_it_is_beyond_the_longest_bar(monkeypatch):
    drawn = []
    monkeypatch.setattr("training.drift.page.as_svg", lambda plot, spoken: drawn.append(plot.axes[0].get_xlim()))
    for chance in (0.05, 3.0):
        stability_plot(report_of(figures=[replace(figure("features", "trend", "ok", 1.0), chance=chance)]))
    (_, of_bars), (_, of_chance) = drawn
    assert 1 < of_bars < 2
    assert of_chance > 3
