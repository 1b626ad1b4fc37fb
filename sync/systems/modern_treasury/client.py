"""A session with an organisation: Basic credentials on every request, nothing to renew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sync.connections import Connection
from sync.errors import TransientError
from sync.http import Answer, Client
from sync.systems.modern_treasury.answers import Listing, explain, listing
from sync.systems.modern_treasury.settings import Settings

LISTING_PAGES_MAX = 200
IDEMPOTENCY_HEADER = "Idempotency-Key"


class Session:
    """Requests below /api. Safe to share between threads; raises sync.errors only."""

    def __init__(self, connection: Connection, settings: Settings, client: Client | None = None) -> None:
        self.settings = settings
        self._connection = connection
        self._organization = connection.secret("organization_id")
        self._key = connection.secret("api_key")
        self.client = client or Client(connection, settings.base_url, explain=explain, headers={"Accept": "application/json"})

    def __repr__(self) -> str:
        return f"Session({self._connection.name})"

    def close(self) -> None:
        """Ends the connections."""
        self.client.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Reads a path below /api."""
        return self.client.send("GET", f"api/{path}", params=params, basic=self._credentials())

    def post(self, path: str, body: bytes, *, idempotency_key: str) -> Answer:
        """A write; UnknownOutcome when it left and no answer came. The same key within 24 hours is the same write."""
        headers = {"Content-Type": "application/json", IDEMPOTENCY_HEADER: idempotency_key}
        return self.client.send("POST", f"api/{path}", headers=headers, content=body, basic=self._credentials(), write=True)

    def listing(self, path: str, params: Mapping[str, str] | None = None, *, after: str | None = None) -> Listing:
        """One page of a list, the one after the cursor `after`."""
        paging = {"per_page": str(self.settings.page_size), **({"after_cursor": after} if after else {})}
        return listing(self.get(path, {**(params or {}), **paging}))

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[Listing]:
        """Every page of a short list; TransientError when its cursor leads round in circles."""
        after, seen = None, set[str]()
        for _ in range(LISTING_PAGES_MAX):
            page = self.listing(path, params, after=after)
            yield page
            if page.after is None:
                return
            if page.after in seen:
                break
            seen.add(page.after)
            after = page.after
        raise TransientError(f"{path}: the list does not end", connection=self._connection.name)

    def all_of(self, path: str) -> list[dict[str, Any]]:
        """Every record of a short list, such as the accounts."""
        return [row for page in self.pages(path) for row in page.rows.sound]

    def _credentials(self) -> tuple[str, str]:
        return self._organization.get_secret_value(), self._key.get_secret_value()
