from datetime import UTC, datetime
from math import inf
from pathlib import Path

import msgspec
import pytest

from recsys.config import Config, load_config
from recsys.errors import ConfigError

SMALLEST = """
name = "shop"
[source]
interactions = "events.csv"
[interaction_types]
click = { label = true }
"""


def load(folder: Path, text: str) -> Config:
    path = folder / "recsys.toml"
    path.write_text(text)
    return load_config(path)


def test_the_smallest_config_has_a_default_for_everything_else(tmp_path):
    config = load(tmp_path, SMALLEST)
    assert config.source.format == "files"
    assert config.source.items is None
    assert config.source.max_bad_share == 0.05
    assert config.interaction_types["click"].weight == 1.0
    assert config.text.template == "{title}"
    assert config.split.test_start is None
    assert config.serving.port == 8000


def test_the_labels_are_the_marked_types_in_the_order_of_the_file(tmp_path):
    text = SMALLEST + 'view = {}\n"add to cart" = { weight = 3, label = true }\nbuy = { label = true }\n'
    assert load(tmp_path, text).label_types == ("click", "add to cart", "buy")


def test_a_test_start_without_a_zone_is_utc(tmp_path):
    start = datetime(2011, 11, 25, tzinfo=UTC)
    for text in ("2011-11-25T00:00:00", "2011-11-25T01:00:00+01:00"):
        assert load(tmp_path, f"{SMALLEST}[split]\ntest_start = {text}\n").split.test_start == start


def test_a_pin_without_a_zone_is_utc_and_without_an_end_for_ever(tmp_path):
    pin = "[[surfaces.home.pins]]\nitem = 'a'\nposition = 1\n"
    may = datetime(2024, 5, 1, tzinfo=UTC).timestamp()
    for start in ("2024-05-01T00:00:00", "2024-05-01T02:00:00+02:00"):
        config = load(tmp_path, f"{SMALLEST}{pin}starts = {start}\n")
        assert config.surfaces["home"].pins[0].span == (may, inf)


def test_a_config_cannot_be_changed(tmp_path):
    config = load(tmp_path, SMALLEST)
    with pytest.raises(AttributeError):
        config.name = "other"
    with pytest.raises(AttributeError):
        config.text.max_tokens = 5
    assert msgspec.structs.replace(config, name="other").name == "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name =", "correct that line"),
        ('name = "shop"', r"missing required field `source`"),
        (SMALLEST.replace("interactions", "events"), r"`events`.*\$.source"),
        (SMALLEST + "[text]\nmax_token = 3\n", r"unknown field `max_token` - at `\$.text`"),
        (SMALLEST + "[text]\nmax_tokens = 0\n", r"`int` >= 1 - at `\$.text.max_tokens`"),
        (SMALLEST + "[split]\nvalidation_days = 'ten'\n", r"Expected `int`, got `str`"),
        (SMALLEST.replace("[interaction_types]", "max_bad_share = 1.5\n[interaction_types]"), r"max_bad_share"),
        (
            SMALLEST.replace("[interaction_types]", "format = 'excel'\n[interaction_types]"),
            r"Invalid enum value 'excel'",
        ),
        (SMALLEST + "[columns.orders]\na = 'b'\n", r"Invalid enum value 'orders'"),
        (
            SMALLEST + '[features]\nuser_attributes = { age = "numeric" }\n',
            r"\[features\] user_attributes names \['age'\], but \[source\] names no users; say under users",
        ),
        (
            SMALLEST.replace("[interaction_types]", "format = 'mind'\n[interaction_types]")
            + '[features]\nuser_attributes = { age = "numeric" }\n',
            r"\[source\] names no users; remove user_attributes",
        ),
        (
            SMALLEST + '[retrieval]\npopular_by = ["country"]\n',
            r"\[retrieval\] popular_by names \['country'\], expected .*; write country = \"categorical\" into",
        ),
        (SMALLEST + "[retrieval.budgets]\npopular = -1\n", r"`int` >= 0 - at `\$.retrieval.budgets"),
        (SMALLEST + "[surfaces.home]\nfilter = 'price <'\n", r"'price <', character 8: invalid syntax.*\$.surfaces"),
        (
            SMALLEST + "[[surfaces.home.boosts]]\nwhere = 'new'\n",
            r"the boost of 'new' changes nothing; name its factor",
        ),
        (SMALLEST + "[[surfaces.home.boosts]]\nwhere = 'f(1)'\nadd = 1\n", r"no such function.*boosts\[0\]"),
        (
            SMALLEST + "[surfaces.home]\npins = [{ item = 'a', position = 1, starts = 2024-05-02T00:00:00Z, "
            "ends = 2024-05-01T00:00:00Z }]\n",
            "the pin of 'a' ends at 2024-05-01.*, not after it starts",
        ),
        (
            SMALLEST + "[surfaces.home]\nexploration = { method = 'epsilon', positions = 0 }\n",
            r">= 1.*exploration.positions",
        ),
        (
            SMALLEST + "[surfaces.home]\nexclude_bought = { types = ['buy'] }\n",
            r"\[surfaces.home\] exclude_bought names the types \['buy'\]; expected some of \['click'\]",
        ),
        (SMALLEST + "[surfaces.home]\nexclude_bought = { types = [] }\n", "length >= 1.*exclude_bought"),
        (SMALLEST + "[surfaces.home.diversity]\nmethod = 'mmr'\nweight = 1\n", r"weight"),
        (SMALLEST.replace("true", "false"), r"no interaction type has label = true among \['click'\]"),
    ],
)
def test_a_bad_config_is_an_error_that_names_the_file_and_the_place(tmp_path, text, message):
    with pytest.raises(ConfigError, match=rf"recsys\.toml: .*{message}"):
        load(tmp_path, text)


def test_popularity_by_an_attribute_needs_a_categorical_one(tmp_path):
    source = SMALLEST.replace("[interaction_types]", 'users = "users.csv"\n[interaction_types]')
    text = source + '[retrieval]\npopular_by = ["country"]\n[features.user_attributes]\ncountry = "categorical"\n'
    assert load(tmp_path, text).retrieval.popular_by == ("country",)
    with pytest.raises(ConfigError, match=r"popular_by names \['country'\]"):
        load(tmp_path, text.replace("categorical", "numeric"))


def test_a_missing_config_says_how_to_write_one(tmp_path):
    with pytest.raises(ConfigError, match=r"No such file or directory; .*`recsys init`"):
        load_config(tmp_path / "recsys.toml")


def test_an_online_store_that_is_no_address_is_refused_with_the_file_and_without_the_address(tmp_path):
    with pytest.raises(ConfigError, match=r"recsys\.toml: features\.online_store: expected .*; correct the") as refused:
        load(tmp_path, f"{SMALLEST}[features]\nonline_store = 'rdis://:sesame@host/0'\n")
    assert "sesame" not in str(refused.value)
    config = load(tmp_path, f"{SMALLEST}[features]\nonline_store = 'redis://:sesame@host/0'\n")
    assert config.features.online_store == "redis://:sesame@host/0"
    assert "sesame" not in repr(config)


HALVES = 'variants.a = { share = 0.5 }\nvariants.b = { bundle = "b2", share = 0.5 }\n'


def test_an_experiment_has_variants_of_the_champion_and_of_bundles(tmp_path):
    more = 'variants.dark = { bundle = "b3", shadow = true }\nends = 2024-06-01\n'
    found = load(tmp_path, SMALLEST + "[experiments.e]\n" + HALVES + more.replace("2024-06-01", "2024-06-01T00:00:00"))
    settings = found.experiments["e"]
    assert list(settings.shown) == ["a", "b"]
    assert (settings.shown["a"].bundle, settings.variants["dark"].shadow) == ("champion", True)
    assert settings.span == (-inf, datetime(2024, 6, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("variants = {}", "Expected `object` of length >= 1"),
        (HALVES + "variants.c = { share = 0.1 }", "the shares of the variants sum to 1.1; expected at most 1"),
        ("variants.a = {}", "the variant 'a' has no share of the users"),
        ("variants.a = { share = 0.1, shadow = true }", "the variant 'a' has a share, but nobody is shown a shadow"),
        ('method = "interleave"\nvariants.a = { share = 1 }', r"mixes the lists of two variants; found \['a'\]"),
        (HALVES + "starts = 2024-06-01T00:00:00\nends = 2024-05-01T00:00:00Z", "not after it starts"),
        (HALVES + "window_days = 0", "Expected `float` > 0"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(tmp_path, text, reason):
    with pytest.raises(ConfigError, match=reason):
        load(tmp_path, f"{SMALLEST}[experiments.e]\n{text}\n")


def test_an_experiment_may_name_the_surfaces_that_there_are(tmp_path):
    known = SMALLEST + "[surfaces.home]\n[experiments.e]\n" + HALVES
    assert load(tmp_path, known + 'surfaces = ["home", "default"]\n').experiments["e"].surfaces == ["home", "default"]
    with pytest.raises(ConfigError, match=r"\[experiments.e\] surfaces names \['cart'\]; expected some of \['default'"):
        load(tmp_path, known + 'surfaces = ["cart"]\n')
