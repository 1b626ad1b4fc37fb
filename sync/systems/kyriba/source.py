"""A treasury tenant as a source: which streams it has, and where each is read, mapped and proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sync.canonical.contracts import BankAccount, BankBalance, ForecastItem, OutgoingPayment
from sync.connections import Connection, Landscape
from sync.errors import PermanentError
from sync.ports import Capabilities, Cursor, Finding, Mapped, Page, Pending, Stream
from sync.systems.kyriba import accounts, balances, flows, probing, statements, transfers
from sync.systems.kyriba.client import Session
from sync.systems.kyriba.listings import Listings
from sync.systems.kyriba.mapping import map_page
from sync.systems.kyriba.settings import Settings

STREAMS = (
    Stream("accounts", (BankAccount.entity,), Capabilities(incremental=False, snapshot=True)),
    Stream("balances", (BankBalance.entity,)),
    Stream("bank_balances", (BankBalance.entity,)),
    Stream("cash_flows", (ForecastItem.entity,), Capabilities(writes=True)),
    Stream("transfers", (OutgoingPayment.entity,), Capabilities(incremental=False, snapshot=True)),
)
STATEMENTS = Stream(statements.STREAM, statements.ENTITIES, Capabilities(asynchronous=True), atomic=True)


class KyribaSource:
    """A tenant as a source. Cursors: accounts {"asked"}, balances and bank_balances {"through"} a date and {"seen"} digests of the last
    answers, cash_flows {"since", "reach"} stamps in UTC, transfers {"asked", "seen"}, statements see there.
    """

    def __init__(self, connection: Connection, landscape: Landscape, settings: Settings, session: Session) -> None:
        self._connection = connection
        self._landscape = landscape
        self._settings = settings
        self._session = session
        self._tenant = Listings(connection, settings, session)
        self._statements = statements.Statements(self._tenant, landscape)

    def streams(self) -> Sequence[Stream]:
        """All there is; statements only where a process template is named that exports them."""
        offered = STREAMS if self._settings.bank_balance_types else tuple(each for each in STREAMS if each.name != "bank_balances")
        return (*offered, STATEMENTS) if self._settings.statement_templates else offered

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page | Pending]:
        """Pages from the cursor on; see the class for what a cursor holds."""
        tenant = self._tenant
        readings: dict[str, Callable[[], Iterator[Page | Pending]]] = {
            "accounts": lambda: accounts.pull(tenant, now),
            "balances": lambda: balances.pull_cash(tenant, cursor, now),
            "bank_balances": lambda: balances.pull_bank(tenant, cursor, now),
            "cash_flows": lambda: flows.pull(tenant, cursor, now),
            "transfers": lambda: transfers.pull(tenant, cursor, now),
            statements.STREAM: lambda: self._statements.pull(cursor, now),
        }
        offered = [each.name for each in self.streams()]
        if stream not in offered:
            raise PermanentError(f"kyriba has no stream {stream!r}; it has {', '.join(offered)}", connection=self._connection.name)
        return readings[stream]()

    def map(self, stream: str, page: Page) -> Mapped:
        """Pure; see mapping.map_page and statements."""
        return self._statements.map(page) if stream == statements.STREAM else map_page(stream, page, self._settings)

    def calls(self) -> tuple[int, int | None]:
        """Calls used and their limit; see sync.http_gate.Budget."""
        return self._session.client.gate.budget.standing

    def close(self) -> None:
        self._session.close()

    def probe(self, *, now: datetime) -> Iterator[Finding]:
        """Address, credentials, clocks, then every stream's permission, fields and first page; see probing."""
        session = Session(self._connection, self._settings, interactive=True)
        try:
            asked = KyribaSource(self._connection, self._landscape, self._settings, session)
            yield from probing.probe(asked, session, self._settings, now=now)
        finally:
            session.close()
