"""Users are spread evenly over the variants, alike everywhere, and independently in two experiments."""

import numpy as np
import scipy.stats

from recsys.assignment import uniform, variant_of
from recsys.config import Experiment, Variant

USERS = [f"user-{n}" for n in range(20_000)]


def halves(share: float = 0.5, **changes) -> Experiment:
    return Experiment(variants={"control": Variant(share=share), "new": Variant(bundle="b2", share=share)}, **changes)


def test_the_number_of_a_user_is_that_of_the_published_hash_in_every_process():
    # echo -n $'salt\x1fuser' | sha256sum
    assert uniform("salt", "user") == (0x05B0E98A659C4ADD >> 11) / 2**53


def test_the_numbers_of_users_are_uniform():
    counts = np.histogram([uniform("warm", user) for user in USERS], bins=100, range=(0, 1))[0]
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_a_variant_gets_its_share_of_the_users():
    settings = Experiment(variants={"a": Variant(share=0.1), "b": Variant(share=0.3), "c": Variant(share=0.2)})
    found = [variant_of(settings, "e", user) for user in USERS]
    counts = [found.count(name) for name in ("a", "b", "c", None)]
    expected = [0.1 * len(USERS), 0.3 * len(USERS), 0.2 * len(USERS), 0.4 * len(USERS)]
    assert scipy.stats.chisquare(counts, expected).pvalue > 0.001


def test_two_experiments_are_independent_of_each_other():
    first = [variant_of(halves(), "first", user) for user in USERS]
    second = [variant_of(halves(), "second", user) for user in USERS]
    table = [[sum(pair == (a, b) for pair in zip(first, second, strict=True)) for a in set(first)] for b in set(second)]
    assert scipy.stats.chi2_contingency(table).pvalue > 0.001


def test_experiments_with_one_salt_assign_alike():
    one, other = halves(salt="s"), halves(salt="s")
    assert all(variant_of(one, "one", user) == variant_of(other, "other", user) for user in USERS[:1000])


def test_shares_that_grow_alike_move_nobody_to_another_variant():
    before = {user: variant_of(halves(0.1), "e", user) for user in USERS}
    after = {user: variant_of(halves(0.4), "e", user) for user in USERS}
    inside = [user for user in USERS if before[user] is not None]
    assert 3_600 < len(inside) < 4_400
    assert all(before[user] == after[user] for user in inside)


def test_everybody_takes_part_when_the_shares_are_one_in_thirds():
    thirds = Experiment(variants={name: Variant(share=1 / 3) for name in "abc"})
    assert None not in {variant_of(thirds, "e", user) for user in USERS[:5000]} or 3 * (1 / 3) < 1
