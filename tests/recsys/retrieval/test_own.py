import sys
from pathlib import Path

import pytest

from recsys.config import Retrieval
from recsys.errors import ChannelError
from recsys.retrieval import CHANNELS, Channels, retrieve
from recsys.retrieval.own import GROUP
from tests.recsys.retrieval.states import items, query, user

MODULE = """
import numpy as np

def last(query):
    return np.arange(len(query.items))

def unknown(query):
    return [np.nan, 1.0, -np.inf]

def short(query):
    return np.zeros(2)

def broken(query):
    raise KeyError("season")

nothing = 7
"""
REQUEST = query(user(), items([0.0] * 3))


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package with entry points, name = object of its module our_shop."""
    monkeypatch.delitem(sys.modules, "our_shop", raising=False)

    def install(*named: tuple[str, str]) -> None:
        (tmp_path / "our_shop.py").write_text(MODULE)
        about = tmp_path / "our_shop-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our-shop\nVersion: 1.0\n")
        lines = [f"[{GROUP}]", *(f"{name} = our_shop:{what}" for name, what in named)]
        (about / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("our_shop", None)


def used(**budgets: int) -> Channels:
    return Channels.of(Retrieval(budgets=budgets))


def test_a_channel_of_ones_own_comes_behind_the_engine_s_and_brings_candidates(register):
    register(("the_last", "last"))
    found = used()
    assert found.names == (*CHANNELS, "the_last")
    candidates = retrieve(REQUEST, limit=3, channels=found)
    assert candidates.positions.tolist() == [2, 1, 0]
    assert candidates.provenance(0) == ("the_last",)
    assert len(retrieve(REQUEST, limit=3, channels=used(the_last=1))) == 1


def test_a_score_that_is_no_number_says_nothing(register):
    register(("some", "unknown"))
    assert retrieve(REQUEST, limit=3, channels=used()).positions.tolist() == [1]


def test_a_channel_that_is_switched_off_is_not_even_imported(register):
    register(("absent", "no_such_channel"))
    assert used(absent=0).names == tuple(CHANNELS)
    assert "our_shop" not in sys.modules


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "no_such_channel",
            "entry point mine = 'our_shop:no_such_channel' .* the package our-shop: cannot be loaded, Attribute",
        ),
        ("nothing", "found an object of type int, expected a function of a Query"),
    ],
)
def test_an_entry_point_that_cannot_be_loaded_is_named(register, what, said):
    register(("mine", what))
    with pytest.raises(ChannelError, match=said):
        used()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([("popular", "last")], "entry point popular = 'our_shop:last' .* a channel of the engine has this name"),
        ([("trending", "last")], "a channel of the engine has this name"),
        ([("mine", "last"), ("mine", "short")], "'our_shop:short' .* our_shop:last is registered by the same name"),
    ],
)
def test_a_name_that_is_taken_is_refused(register, names, said):
    register(*names)
    with pytest.raises(ChannelError, match=said):
        used()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("broken", r"entry point mine = .*KeyError: 'season' \(at .*our_shop.py:14\)"),
        ("short", r"found scores of the shape \(2,\), expected \(3,\)"),
    ],
)
def test_a_channel_that_fails_says_so_with_its_entry_point(register, what, said):
    register(("mine", what))
    with pytest.raises(ChannelError, match=said):
        retrieve(REQUEST, limit=3, channels=used())


def test_what_is_computed_depends_on_the_code_of_the_channel(register, tmp_path):
    register(("mine", "last"))
    before, same = used().sources, used().sources
    assert before == same
    assert before[0].startswith("mine = our_shop:last ")
    (tmp_path / "our_shop.py").write_text(MODULE + "\n")
    assert used().sources != before
