"""Which variant of an experiment a user gets: the same one in every process, at any time, without anything being kept.

Users are hashed with a salt, as in Kohavi, Tang and Xu, "Trustworthy online controlled experiments", 2020, chapter 4.
Two hashes, one for whether a user takes part and one for the variant: shares that grow alike bring users in, and leave
those who are in with the variant that they have.
"""

from hashlib import sha256
from typing import Final

from recsys.config import Experiment

SEPARATOR: Final = "\x1f"
"""Between the parts that are hashed: no two pairs of a salt and an id read alike."""


def uniform(salt: str, user_id: str) -> float:
    """A number in [0, 1), uniform over users and, for another salt, independent of that of this one."""
    digest = sha256(f"{salt}{SEPARATOR}{user_id}".encode()).digest()
    # 53 bits are what a float holds exactly.
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def variant_of(experiment: Experiment, name: str, user_id: str) -> str | None:
    """The variant that the experiment of this name shows a user; None when the user takes no part."""
    salt = name if experiment.salt is None else experiment.salt
    shares = {variant: settings.share for variant, settings in experiment.shown.items()}
    total = sum(shares.values())
    if uniform(f"{salt}{SEPARATOR}enters", user_id) >= total:
        return None
    left = uniform(salt, user_id) * total
    for variant, share in shares.items():
        left -= share
        if left < 0:
            return variant
    # The shares were added up in another order of roundings.
    return next(reversed(shares), None)
