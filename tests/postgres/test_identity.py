"""Who is who across ERP, CRM and bank."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import identity
from sync.connections import Connection, Landscape
from sync.pull import pull_stream
from tests.postgres.synthetic import Database, MemorySource, customer, invoice

CONNECTIONS = {
    "sap-emea": Connection(name="sap-emea", system="sap_s4", region="EMEA"),
    "sap-na": Connection(name="sap-na", system="sap_s4", region="NA"),
    "crm": Connection(name="crm", system="salesforce", region="EMEA"),
    "bank": Connection(name="bank", system="bank_files", region="EMEA"),
}
LANDSCAPE = Landscape(connections=tuple(CONNECTIONS.values()))


def put(engine: sa.Engine, clock: FixedClock, name: str, stream: str, *records: dict[str, Any]) -> None:
    """Records as `name` would bring them."""
    source = MemorySource({stream: [list(records)]})
    result = pull_stream(Database(engine), CONNECTIONS[name], LANDSCAPE, source, stream, clock=clock, trigger="test", full=True)
    assert (result.state, result.counts.quarantined) == ("done", 0)


def resolve(engine: sa.Engine, clock: FixedClock) -> identity.Resolved:
    """One resolution."""
    with writing(engine) as conn:
        return identity.resolve(conn, LANDSCAPE, now=clock.now())


def links(engine: sa.Engine) -> dict[tuple[str, str], tuple[str, str]]:
    """(source, key) -> (party's region and number, how it was matched)."""
    with reading(engine) as conn:
        rows = conn.execute(
            sa.text(
                "select l.source, l.source_key, p.region || ':' || p.number, l.matched_by from canonical.identity_link l join canonical.party p on p.id = l.party_id"
            )
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}


@pytest.mark.postgres_versions
def test_accounts_find_their_customers(engine: sa.Engine, clock: FixedClock) -> None:
    """By ERP number (leading zeros or not), then by name and country; a number that two regions use goes to the account's own region."""
    put(engine, clock, "sap-emea", "customers", customer("0000100"), customer("0000200", name="Müller & Söhne GmbH", country="DE"))
    put(engine, clock, "sap-na", "customers", customer("0000100", region="NA"))
    put(
        engine,
        clock,
        "crm",
        "customers",
        customer("A1", erp_number="100"),
        customer("A2", name="MULLER SOHNE", country="DE"),
        customer("A3", name="Nobody", country="DE"),
    )
    done = resolve(engine, clock)
    assert (done.parties, done.links, done.ambiguous) == (3, 5, 0)
    found = links(engine)
    assert found["crm", "A1"] == ("EMEA:0000100", "erp_number")
    assert found["crm", "A2"] == ("EMEA:0000200", "name_and_country")
    assert ("crm", "A3") not in found
    again = resolve(engine, clock)
    assert (again.parties, again.links) == (0, 0)


def test_what_fits_two_parties_waits_for_a_person(engine: sa.Engine, clock: FixedClock) -> None:
    """Two customers of one name in one country: no link, one exception with the candidates, resolved by a corrected number."""
    put(
        engine,
        clock,
        "sap-emea",
        "customers",
        customer("1", name="Twin Ltd", country="GB"),
        customer("2", name="Twin Limited", country="GB"),
    )
    put(engine, clock, "crm", "customers", customer("A1", name="TWIN", country="GB"))
    assert resolve(engine, clock).ambiguous == 1
    assert resolve(engine, clock).ambiguous == 0
    assert ("crm", "A1") not in links(engine)
    put(engine, clock, "crm", "customers", customer("A1", 2, name="TWIN", country="GB", erp_number="2"))
    resolve(engine, clock)
    assert links(engine)["crm", "A1"] == ("EMEA:2", "erp_number")
    with reading(engine) as conn:
        rows = conn.execute(sa.text("select state, resolution, jsonb_array_length(evidence->'candidates') from process.exception")).all()
    assert [tuple(row) for row in rows] == [("resolved", "the customer was linked", 2)]


def test_a_machines_link_follows_the_account_a_persons_does_not(engine: sa.Engine, clock: FixedClock) -> None:
    """When the account's ERP number changes, a machine's link is made anew and a confirmed one stays."""
    put(engine, clock, "sap-emea", "customers", customer("1"), customer("2"))
    put(engine, clock, "crm", "customers", customer("A1", erp_number="1"), customer("A2", erp_number="1"))
    resolve(engine, clock)
    with writing(engine) as conn:
        conn.execute(sa.text("update canonical.identity_link set confirmed_by = 'ann' where source_key = 'A2'"))
    put(engine, clock, "crm", "customers", customer("A1", 2, erp_number="2"), customer("A2", 2, erp_number="2"))
    resolve(engine, clock)
    assert links(engine)["crm", "A1"][0] == "EMEA:2"
    assert links(engine)["crm", "A2"][0] == "EMEA:1"


def test_a_bank_counterparty_is_whose_invoice_it_names(engine: sa.Engine, clock: FixedClock) -> None:
    """A payer that names invoices of one party is that party; one that pays for two stays unlinked; its payments get their payer."""
    put(engine, clock, "sap-emea", "customers", customer("C1"), customer("C2"))
    put(engine, clock, "sap-emea", "invoices", invoice("90000001"), invoice("90000002", customer_key="C2"))
    line = {"entity": "bank_transaction", "source_version": 1, "account": "DE1", "amount": "119.00", "currency": "EUR"}
    pay = {"entity": "payment", "source_version": 1, "amount": "119.00", "currency": "EUR", "status": "settled"}
    put(
        engine, clock, "bank", "files",
        {"rows": [{**line, "source_key": "T1", "counterparty_account": "IBAN1", "remittance": "Rechnung 90000001 vielen Dank"}, {**pay, "source_key": "T1"}]},
        {"rows": [{**line, "source_key": "T2", "counterparty_account": "IBAN2", "remittance": "90000001, 90000002"}, {**pay, "source_key": "T2"}]},
    )  # fmt: skip
    assert resolve(engine, clock).bank_links == 1
    assert links(engine)["bank", "IBAN1"] == ("EMEA:C1", "invoice_named_in_payment")
    with reading(engine) as conn:
        rows = dict(tuple(row) for row in conn.execute(sa.text("select source_key, customer_key from canonical.payment")))
    assert rows == {"T1": "IBAN1", "T2": None}


def merge(loser: str, winner: str) -> dict[str, Any]:
    """A CRM record whose account was merged into another."""
    gone = customer(loser, 2, is_deleted=True)
    return {"rows": [gone, {"entity": "customer_merge", "source_key": loser, "source_version": 2, "into_key": winner}]}


def test_a_merged_account_follows_the_one_that_lives_on(engine: sa.Engine, clock: FixedClock) -> None:
    """The loser's links lead to the winner's party, over two merges too; a winner without a number takes over its loser's party."""
    put(engine, clock, "sap-emea", "customers", customer("1"), customer("2"))
    put(
        engine, clock, "crm", "customers",
        customer("A1", erp_number="1"), customer("A2", erp_number="2"), customer("A3", name="Nobody"),
        customer("B1", erp_number="1"), customer("B2", name="Plain"),
    )  # fmt: skip
    resolve(engine, clock)
    put(engine, clock, "crm", "customers", merge("A3", "A2"), merge("A2", "A1"), merge("B1", "B2"))
    assert resolve(engine, clock).links == 3
    found = links(engine)
    assert {key: found["crm", key] for key in ("A1", "A2", "A3")} == {
        "A1": ("EMEA:1", "erp_number"),
        "A2": ("EMEA:1", "merged"),
        "A3": ("EMEA:1", "merged"),
    }
    assert found["crm", "B2"] == ("EMEA:1", "merged")
    assert resolve(engine, clock).links == 0


def test_a_persons_link_stays_after_a_merge(engine: sa.Engine, clock: FixedClock) -> None:
    """What a person confirmed about the loser is not touched; merges in a circle end."""
    put(engine, clock, "sap-emea", "customers", customer("1"), customer("2"))
    put(engine, clock, "crm", "customers", customer("A1", erp_number="1"), customer("A2", erp_number="2"))
    resolve(engine, clock)
    with writing(engine) as conn:
        conn.execute(sa.text("update canonical.identity_link set confirmed_by = 'ann' where source_key = 'A2'"))
    put(engine, clock, "crm", "customers", merge("A2", "A1"), merge("X", "Y"), merge("Y", "X"))
    resolve(engine, clock)
    assert links(engine)["crm", "A2"][0] == "EMEA:2"
