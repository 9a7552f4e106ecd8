"""What every answer depends on, whichever way its items are found."""

from dataclasses import dataclass, field

from serving.begun import Begun
from serving.course import Course
from serving.pages import Page
from serving.rules import DEFAULT_SURFACE


@dataclass(frozen=True)
class Asked:
    """A request, checked.

    user_id     None: of nobody in particular
    limit       most items of the answer; None: all
    offset      items of the order that come before it, and are left out
    page        what earlier answers showed, when this one goes on from there
    query       what the user typed
    channels    only what these bring; None: all
    explain     whether the first items come with the reasons for their places
    where       a condition that each item meets (recsys.rules.expression)
    surface     whose rules it follows
    request_id  the same one draws the same where the rules of the surface explore
    course      the time that it may take; as long as it takes if absent
    begun       of a request to rank: what its engine has done of it already; another engine has no use for it
    """

    user_id: str | None = None
    limit: int | None = None
    offset: int = 0
    page: Page | None = None
    query: str | None = None
    channels: tuple[str, ...] | None = None
    explain: bool = False
    where: str | None = None
    surface: str = DEFAULT_SURFACE
    request_id: str = ""
    course: Course = field(default_factory=Course, compare=False)
    begun: Begun | None = field(default=None, compare=False)
