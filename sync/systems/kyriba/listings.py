"""What every reading of a tenant shares: listings to their end, the accounts behind the records, and pages that carry both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sync.connections import Connection
from sync.errors import TransientError
from sync.http import Answer
from sync.ports import Cursor, Page
from sync.systems.kyriba.answers import Listing
from sync.systems.kyriba.client import LISTING_PAGES_MAX, Session
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import Account, account_of, context

ACCOUNTS = "v1/accounts"


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a listing: the answer, what it says of itself, its number from 1, and whether it is the last."""

    answer: Answer
    listing: Listing
    number: int
    last: bool


class Circle:
    """Tells a listing that gives the same page again and again."""

    def __init__(self, connection: str) -> None:
        self._connection = connection
        self._seen: set[bytes] = set()

    def pass_by(self, answer: Answer) -> None:
        """Raises TransientError when this very answer has come before."""
        digest = hashlib.sha256(answer.body).digest()
        if digest in self._seen:
            raise TransientError(
                f"{answer.place}: the same page came twice; the listing goes round in circles", connection=self._connection
            )
        self._seen.add(digest)

    def forget(self) -> None:
        """Another question: what comes now may look like what came before."""
        self._seen.clear()


class Listings:
    """A tenant's listings over one session."""

    def __init__(self, connection: Connection, settings: Settings, session: Session) -> None:
        self.connection = connection
        self.settings = settings
        self.session = session

    def parts(self, path: str, params: Mapping[str, str]) -> Iterator[Part]:
        """The listing page by page. TransientError when it goes in circles or a page is shorter than the rest of it allows."""
        offset, circle = 0, Circle(self.connection.name)
        for number in range(1, LISTING_PAGES_MAX + 1):
            answer, page = self.session.listing(path, params, offset=offset)
            circle.pass_by(answer)
            offset += page.step
            part = Part(answer, page, number, self.is_last(answer, page, offset))
            yield part
            if part.last:
                return
        raise TransientError(f"{path}: more than {LISTING_PAGES_MAX} pages; ask for larger ones", connection=self.connection.name)

    def is_last(self, answer: Answer, page: Listing, read: int) -> bool:
        """Whether the listing is read to its end; TransientError when the page is shorter than the rest of it allows."""
        if page.total is None:
            if page.following and not page.step:
                raise TransientError(f"{answer.place}: an empty page names a next one", connection=self.connection.name)
            # without a count only a page that is not full is the last
            return not page.following and page.rows.total < page.limit
        if read >= page.total:
            return True
        if page.rows.total < page.limit:
            raise TransientError(
                f"{answer.place}: {read} of {page.total} records came, and the page was not full", connection=self.connection.name
            )
        return False

    def accounts(self) -> dict[str, Account]:
        """Every account that the tenant lists to us, by its code."""
        rows = (row for part in self.parts(ACCOUNTS, {}) for row in part.listing.rows.sound)
        return {account.code: account for row in rows if (account := account_of(row)) is not None}

    def companies(self) -> dict[str, str | None]:
        """Account code -> its company's code."""
        return {code: account.company for code, account in self.accounts().items()}


def page_of(companies: Mapping[str, str | None], now: datetime) -> Callable[..., Page]:
    """Makes the pages of one pull: answers with the accounts' companies and the moment of asking beside them."""
    headers = context(companies, now)

    def page(answer: Answer, name: str, cursor: Cursor | None, *, complete_until: datetime | None = None, **more: str) -> Page:
        return Page(answer.body, answer.content_type, cursor, name, headers | more, complete_until)

    return page
