import pytest
from rich.pretty import pretty_repr

from recsys.config import Features
from recsys.errors import ConfigError
from recsys.online_address import check, resolve, shown

SECRET = "sesame"
NOT_AN_ADDRESS = [
    "",
    "redis",
    "postgres://host/0",
    "redis://",
    "unix://",
    "redis://host:door/0",
    f"redis://:{SECRET}",
    f"redis://:{SECRET}/x@host:6379/0",
    f"redis://:x/{SECRET}@host:6379/0",
    f"redis://:x?{SECRET}@host:6379/0",
    f"redis://:x#{SECRET}@host:6379/0",
    f"redis://host:6379/0#{SECRET}",
    f"{SECRET}@host",
    f"redis://[{SECRET}@host",
]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sqlite", "sqlite"),
        ("redis://host:6379/2", "redis://host:6379/2"),
        (f"redis://:{SECRET}@host/0", "redis://host/0"),
        (f"rediss://{SECRET}:{SECRET}@[::1]:6380", "rediss://[::1]:6380"),
        (f"redis://:a%2F{SECRET}%40@host:6379/0", "redis://host:6379/0"),
        (f"unix://:{SECRET}@/run/redis.sock?db=3&password={SECRET}", "unix:///run/redis.sock?db=3"),
    ],
)
def test_an_address_is_shown_without_user_and_password(address, said):
    check(address)
    assert shown(address) == said


@pytest.mark.parametrize("address", NOT_AN_ADDRESS)
def test_what_is_no_address_is_refused_without_a_word_of_it(address):
    with pytest.raises(ConfigError, match=r'expected "sqlite", redis://host:port/db') as refused:
        resolve(address)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_variable_stands_for_a_part_or_all_of_an_address(monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    monkeypatch.setenv("REDIS_PORT", "6379")
    monkeypatch.setenv("STORE", "sqlite")
    assert resolve("redis://:${REDIS_PASSWORD}@host:${REDIS_PORT}/0") == f"redis://:{SECRET}@host:6379/0"
    assert resolve("${STORE}") == "sqlite"


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(ConfigError, match=r"no environment variable \['NO_SUCH'\]; set it"):
        resolve("redis://:${NO_SUCH}@host/0")


def test_a_value_that_makes_no_address_is_refused_without_a_word_of_it(monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", f"a/{SECRET}")
    check("redis://:${REDIS_PASSWORD}@host/0")
    with pytest.raises(ConfigError, match="percent-encode") as refused:
        resolve("redis://:${REDIS_PASSWORD}@host/0")
    assert SECRET not in str(refused.value)


def test_the_configuration_can_be_printed():
    features = Features(online_store=f"redis://:{SECRET}@host/0")
    assert SECRET not in repr(features) + pretty_repr(features)
