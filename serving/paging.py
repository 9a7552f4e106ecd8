"""Which part of a list is asked for, and where the part behind it begins: of every route whose answers have pages."""

from dataclasses import dataclass
from typing import Self

from serving.pages import Page, PageError
from serving.problems import unprocessable
from serving.showing import Showing
from serving.types import PagedOrder, RankedList


@dataclass(frozen=True)
class Part:
    """Of one request.

    limit   most items of it
    offset  items that it leaves out in front of them
    page    what earlier answers showed, if it goes on from one
    """

    limit: int
    offset: int
    page: Page | None

    @classmethod
    def of(cls, showing: Showing, order: PagedOrder) -> Self:
        """Raises the 422 for a page that no answer had, or that comes with an offset."""
        page = None if order.page is None else _page(showing, order.page, order.offset)
        before = order.offset if page is None else len(page.shown)
        limit = showing.default_limit(order.limit, before)
        if page is not None and before < showing.maximum:
            # The last page has what is left.
            limit = min(limit, showing.maximum - before)
        return cls(limit, order.offset, page)

    @property
    def first(self) -> int:
        """The place of its first item, from 1."""
        return 1 + (self.offset if self.page is None else len(self.page.shown))

    def next_page(self, showing: Showing, ranked: RankedList) -> str | None:
        """None when there is nothing more, or no more may be asked for."""
        shown = [item.item_id for item in ranked.items]
        before = Page(showing.request_id, ()) if self.page is None else self.page
        if len(shown) < self.limit or self.offset + len(before.shown) + len(shown) >= showing.maximum:
            return None
        return Page(before.request_id, (*before.shown, *shown)).token()


def _page(showing: Showing, token: str, offset: int) -> Page:
    if offset:
        why = "an offset beside a page, which knows what came before it; expected one of them"
        raise unprocessable(f"{showing.fields_at}offset", why)
    try:
        return Page.of_token(token)
    except PageError as error:
        raise unprocessable(f"{showing.fields_at}page", str(error)) from error
