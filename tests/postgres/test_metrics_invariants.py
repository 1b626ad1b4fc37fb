"""The invariants: silent when all is well, and each speaks up when its statement is broken."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from db.engine import reading, writing
from metrics import invariants, refresh
from tests.postgres.metrics_facts import Facts, moment

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_PAGE = (
    "insert into raw.page (id, recorded_at, connection, stream, region, kind, digest, byte_count, body)"
    " values (0, '2026-01-01', 'erp', 'invoices', 'EMEA', 'api_page', 'x', 1, 'x')"
)
_BATCH = (
    "insert into process.batch (run_id, connection, stream, region, committed_at, lease_token, pages, received, promoted, unchanged,"
    " duplicates, superseded, quarantined) values (1, 'erp', 'invoices', 'EMEA', now(), 1, 1, 10, {promoted}, 1, 1, 1, 1)"
)


def _world(engine: sa.Engine) -> None:
    with writing(engine) as conn:
        conn.execute(sa.text(_PAGE))
        conn.execute(sa.text(_BATCH.format(promoted=6)))
        facts = Facts(conn)
        facts.customer("C1", party=1, limit="1000")
        facts.invoice("I1", "C1", "100.00", date(2026, 1, 5), paid=[(date(2026, 2, 25), "100.00")])
        facts.invoice("I2", "C1", "40.00", date(2026, 2, 20))
        for day, opening, closing in ((1, "10", "30"), (2, "30", "25")):
            stamp = moment(date(2026, 3, day), 1)
            common = {"account": "A1", "currency": "EUR", "source": "bank", "changed_at": stamp}
            facts.put(
                "bank_balance", f"O{day}", balance_type="opening_booked", as_of_date=date(2026, 3, day), amount=Decimal(opening), **common
            )
            facts.put(
                "bank_balance", f"C{day}", balance_type="closing_booked", as_of_date=date(2026, 3, day), amount=Decimal(closing), **common
            )
        facts.put("bank_transaction", "T1", source="bank", account="A1", currency="EUR", amount=Decimal(-5), booking_date=date(2026, 3, 2),
                  changed_at=moment(date(2026, 3, 2), 1))  # fmt: skip
        conn.execute(
            sa.text(
                "insert into governance.audit (chain, at, actor, action, subject_kind, subject_key)"
                " select 'EMEA', now(), 'ann', 'looked', 'invoice', n::text from generate_series(1, 3) n"
            )
        )
    refresh.run(engine, now=NOW, reporting_currency="EUR")


def _violated(engine: sa.Engine) -> list[str]:
    with reading(engine) as conn:
        return [one.invariant for one in invariants.check(conn, now=NOW)]


def test_nothing_is_violated_when_all_is_well(engine: sa.Engine) -> None:
    """A refreshed world keeps every invariant; so does an empty database."""
    assert _violated(engine) == []
    _world(engine)
    assert _violated(engine) == []


def test_an_entry_in_another_currency_is_held_when_its_file_is_read(engine: sa.Engine) -> None:
    """A yen entry on a euro account counts by the bank's counter value, which the account's balances show and the entry does not."""
    _world(engine)
    with writing(engine) as conn:
        conn.execute(sa.text("update canonical.bank_transaction set amount = -800, currency = 'JPY'"))
    assert _violated(engine) == []


_DECISION = (
    "insert into process.decision (rule, rule_version, subject_kind, subject_source, subject_key, region, outcome, decided_at, decided_by)"
    " values ('r', '1', 'order', 'erp', '7', 'EMEA', 'release', now(), 'rule');"
)


@pytest.mark.parametrize(
    ("breakage", "invariant"),
    [
        (_BATCH.format(promoted=5), "I1 batches add up"),
        ("insert into process.control_total (page_id, connection, region, subject, agree, recorded_at) values (5, 'f', 'EMEA', 's', false, now())",
         "I2 control totals agree"),
        ("update canonical.bank_transaction set amount = -4", "I2 bank balances add up"),
        (_DECISION + "insert into process.effect (effect_key, kind, connection, region, object_key, state, requested_by, planned_at, decision_id)"
         " select 'release:erp:7:' || n, 'release_order', 'erp', 'EMEA', '7', 'confirmed', 'rule', now(), 1 from generate_series(1, 2) n",
         "I3 one release per block"),
        (_DECISION + "insert into process.effect (effect_key, kind, connection, region, object_key, state, requested_by, planned_at, settled_at,"
         " decision_id, payload) select 'collections:crm:7:' || n, 'update_collections', 'crm', 'EMEA', '7', 'confirmed', 'rule', now(),"
         " now() - n * interval '1 hour', 1, jsonb_build_object('version', n) from generate_series(1, 2) n", "I4 no older write-back"),
        ("insert into process.webhook (connection, event_id, region, received_at, state) values ('crm', 'e', 'EMEA', '2026-01-01', 'new')",
         "I5 webhooks end"),
        ("insert into process.stream (connection, stream, region, complete_until) values ('erp', 'x', 'EMEA', now() + interval '400 days')",
         "I6 watermarks are not ahead"),
        ("alter table governance.audit disable trigger audit_keep; update governance.audit set actor = 'bob' where id = (select max(id) from governance.audit)",
         "I7 audit chain"),
        ("update canonical.invoice set raw_record_id = 99::bigint << 24", "I8 lineage"),
        (("insert into process.effect (effect_key, kind, connection, region, object_key, state, requested_by, planned_at)"
         " values ('k', 'release_order', 'erp', 'EMEA', '8', 'sent', 'rule', now())"), "I9 effects are decided"),
        (_DECISION + "insert into process.effect (effect_key, kind, connection, region, object_key, state, requested_by, approved_by, planned_at,"
         " decision_id) values ('k', 'release_order', 'erp', 'EMEA', '8', 'planned', 'ann', 'ann', now(), 1)", "I9 two persons"),
        ("update measure.latency_rollup set cleared = cleared + 1", "R1 rollups equal facts"),
        ("update measure.invoice_fact set open_amount = 1 where source_key = 'I2'", "R1 invoices equal facts"),
        ("update measure.exposure set credit_limit = 7", "R1 exposure equals facts"),
    ],
)  # fmt: skip
def test_each_invariant_speaks_up(engine: sa.Engine, breakage: str, invariant: str) -> None:
    """A world with one thing broken violates just the invariant that is about it."""
    _world(engine)
    with writing(engine) as conn:
        for statement in breakage.split(";"):
            if statement.strip():
                conn.execute(sa.text(statement))
    assert invariant in _violated(engine)
