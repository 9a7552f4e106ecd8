"""What a check of a deployment found, and what to do about it."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from recsys.errors import RecsysError

State = Literal["ok", "warning", "problem"]
"""warning: it serves, but look at it; problem: it does not serve, or not for long."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; `mend` is empty where nothing is to be done, or where `found` says it."""

    check: str
    state: State
    found: str
    mend: str = ""


def good(check: str, found: str) -> Finding:
    return Finding(check=check, state="ok", found=found)


def doubtful(check: str, found: str, mend: str = "") -> Finding:
    return Finding(check=check, state="warning", found=found, mend=mend)


def broken(check: str, found: str, mend: str = "") -> Finding:
    return Finding(check=check, state="problem", found=found, mend=mend)


Check = Callable[[], Finding | Iterable[Finding]]


def findings(check: str, look: Check) -> Iterator[Finding]:
    """What `look` finds; one that fails has found a problem, and the checks after it go on."""
    try:
        found = look()
        yield from [found] if isinstance(found, Finding) else list(found)
    except RecsysError as error:
        # Its message says what to do.
        yield broken(check, str(error))
    except Exception as error:  # whatever it is, it is something about this deployment
        place = traceback.extract_tb(error.__traceback__)[-1]
        yield broken(
            check,
            f"the check failed with {type(error).__name__}: {error} ({place.filename}:{place.lineno})",
            "report it if the deployment is as it should be",
        )
