"""The Salesforce adapter against the sandbox's org, with its faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from sandbox import Running
from sync.connections import Connection
from sync.errors import AuthError, DataError, PermanentError, QuotaError, TransientError, UnknownOutcome
from sync.ports import Mapped, Metered, Order, Source
from sync.systems.salesforce import make_source, make_target
from tests.contracts.suite_sandbox import FAULTS, LANDSCAPE, Dial, Fault, PagedSandboxSuite, Reading, connection_to, module_box, renamed
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_salesforce_login import PEM, PUBLIC

pytestmark = pytest.mark.xdist_group("salesforce-sandbox")
"""One worker: two would start the sandbox twice."""

STREAM = "opportunities"


box = module_box(customers=20, history_days=90)


@pytest.fixture
def dial(dial: Dial) -> Dial:
    """Pages that a small world has several of."""
    dial.fault("salesforce", "page_size", size=20)  # the org itself gives 200 at least
    return dial


@pytest.fixture
def org(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    org = connection_to(box, "salesforce", "salesforce", monkeypatch, "client_id", "client_secret", settle_seconds=0)
    return renamed(org)


@pytest.fixture
def source(org: Connection, dial: Dial) -> Iterator[Source]:
    source = make_source(org, LANDSCAPE)
    yield source
    source.close()


@pytest.fixture
def reading(box: Running, org: Connection) -> Reading:
    return Reading(
        box, "salesforce", "Opportunity", STREAM, lambda: make_source(renamed(org), LANDSCAPE), truth=lambda: _true(box), held=_held
    )


def _held(store: Store) -> set[str]:
    return {key for _, key in store.rows}


def _all(source: Source, box: Running) -> Store:
    store = Store()
    pull(source, STREAM, None, store, now=box.world.now)
    return store


def _true(box: Running) -> set[str]:
    return {opportunity.id for opportunity in box.world.opportunities.values()}


def test_every_stream_holds_what_the_org_holds(box: Running, org: Connection) -> None:
    """Accounts, opportunities, contracts and orders arrive whole, none rejected, amounts to the cent."""
    source = make_source(org.model_copy(update={"options": {**org.options, "orders_as": "sales_order"}}), LANDSCAPE)
    held = Store()
    for stream in source.streams():
        pull(source, stream.name, None, held, now=box.world.now)
    source.close()
    assert held.rejects == []
    assert {key for kind, key in held.rows if kind == "customer"} == set(box.world.accounts)
    contracts = {row["number"]: row for row in held.live("contract").values()}
    for contract in box.world.contracts.values():
        row = contracts[contract.number]
        assert (row["value"], row["currency"], row["legal_entity"]) == (contract.value, contract.currency, contract.entity)
        assert row["status"] == {"Draft": "draft", "InApproval": "in_approval", "Activated": "activated"}[contract.status]
    total = sum(row["amount"] for row in held.live("opportunity").values())
    assert total == sum(opportunity.amount for opportunity in box.world.opportunities.values())
    assert len(held.live("sales_order")) == sum(bool(order.crm_id) for order in box.world.orders.values())


def test_a_token_that_expires_between_pages_costs_nothing(box: Running, source: Source, dial: Dial) -> None:
    """The session's end in mid-query brings one new login and a new query."""
    dial.fault("salesforce", "expired_token", times=1)
    assert _held(_all(source, box)) == _true(box)


def test_a_tenant_whose_sessions_always_end_is_a_matter_for_a_person(box: Running, source: Source, dial: Dial) -> None:
    """Sessions that end before they bring anything stop the pull with an error about credentials."""
    dial.fault("salesforce", "expired_token", anywhere=True)
    with pytest.raises(AuthError):
        _all(source, box)


class TestReading(PagedSandboxSuite):
    @pytest.fixture(params=[*FAULTS, Fault("rate_limit", QuotaError, {"retry_after": 7, "form": "date"}), Fault("quota", QuotaError),
                            Fault("repeated_page", TransientError)], ids=str)  # fmt: skip
    def fault(self, request: pytest.FixtureRequest) -> Fault:
        """The org also has a daily number of calls, and a query locator that names itself would never end."""
        fault: Fault = request.param
        return fault


def test_a_field_that_vanishes_is_drift_and_no_null(box: Running, source: Source, dial: Dial) -> None:
    """A field that was asked for and is gone rejects the records: an amount must not silently become nothing."""
    dial.fault("salesforce", "schema_drift", entity="Opportunity", change="remove", field="Amount", times=1)
    mapped = _first(source, box)
    assert set(mapped.rejects["cause"]) == {"schema_drift"}
    assert set(mapped.rejects["field"]) == {"Amount"}
    assert mapped.frames["opportunity"].is_empty()


def test_a_field_that_changes_its_type_is_rejected(box: Running, source: Source, dial: Dial) -> None:
    """An amount that has become a text nobody can read, and a name that has become an object, land nowhere."""
    dial.fault("salesforce", "schema_drift", entity="Opportunity", change="retype", field="Amount", times=1)
    assert set(_first(source, box).rejects["cause"]) == {"bad_amount"}
    dial.fault("salesforce", "schema_drift", entity="Opportunity", change="retype", field="StageName", times=1)
    assert set(_first(source, box).rejects["cause"]) == {"schema_drift"}


def test_a_field_that_is_new_is_seen_and_harmless(box: Running, source: Source, dial: Dial) -> None:
    """An added field is reported among the fields seen."""
    dial.fault("salesforce", "schema_drift", entity="Opportunity", change="add", times=1)
    mapped = _first(source, box)
    assert mapped.rejects.is_empty()
    assert "ZZ_Addition" in mapped.fields_seen


def _first(source: Source, box: Running) -> Mapped:
    return source.map(STREAM, next(iter(pages_of(source, STREAM, None, now=box.world.now))))


@pytest.mark.parametrize("how", ["bad_amount", "bad_currency", "bad_date", "missing_key"])
def test_a_broken_contract_is_rejected_and_fixed_later(box: Running, source: Source, dial: Dial, how: str) -> None:
    """A contract that somebody broke is refused with its cause; mended, it lands by the next pull."""
    first = Store()
    cursor = pull(source, "contracts", None, first, now=box.world.now).cursor
    key = next(iter(box.world.contracts.values())).id
    dial.act("break_record", system="salesforce", entity="Contract", key=key, how=how)
    store = Store()
    pull(source, "contracts", cursor, store, now=box.world.now)
    cause = {"missing_key": "missing_field"}.get(how, how)
    assert [(r["cause"], r["entity"]) for r in store.rejects] == [(cause, "contract")]
    dial.act("fix_record", system="salesforce", entity="Contract", key=key)
    mended = Store()
    pull(source, "contracts", cursor, mended, now=box.world.now)
    assert mended.rejects == []
    assert key in mended.live("contract")


_VERSIONS = itertools.count(10, 10)
"""Versions rise from test to test, in whatever order they come: they write to one account of one org."""


def _order(box: Running, version: int, **payload: Any) -> Order:
    number = next(a.erp_number for a in box.world.accounts.values() if a.erp_number and not a.deleted)
    told = {"customer_number": number, "status": "reminder", "overdue_amount": "1234.56", "currency": "EUR",
            "as_of": "2026-05-20T12:00:00+00:00", "version": version, **payload}  # fmt: skip
    return Order(f"collections:{told['customer_number']}:{version}", "update_collections", str(told["customer_number"]), told)


def test_collections_status_is_written_once(box: Running, org: Connection, dial: Dial) -> None:
    """Applied, then already there: the org's own log shows one write, the amount to the cent."""
    target = make_target(org, LANDSCAPE)
    before = len(dial.writes("salesforce"))
    order = _order(box, next(_VERSIONS))
    assert target.read(order).outcome == "absent"
    assert target.apply(order).outcome == "applied"
    assert target.apply(order).outcome == "already"
    assert target.read(order).outcome == "already"
    writes = dial.writes("salesforce")[before:]
    assert len(writes) == 1
    assert float(writes[0]["after"]["collections_overdue"]) == 1234.56
    target.close()


def test_an_older_version_never_overwrites_a_newer(box: Running, org: Connection, dial: Dial) -> None:
    """The account says which version it holds; an older order finds that the world moved on and writes nothing."""
    target = make_target(org, LANDSCAPE)
    newer = next(_VERSIONS)
    target.apply(_order(box, newer))
    before = len(dial.writes("salesforce"))
    assert target.apply(_order(box, newer - 1)).outcome == "differs"
    assert len(dial.writes("salesforce")) == before
    target.close()


def test_an_unknown_customer_is_refused_and_never_created(box: Running, org: Connection, dial: Dial) -> None:
    """No account has the number: a permanent error, and the org has as many accounts as before."""
    target = make_target(org, LANDSCAPE)
    accounts = len(box.world.accounts)
    with pytest.raises(PermanentError, match="no account"):
        target.apply(_order(box, next(_VERSIONS), customer_number="99999999"))
    assert len(box.world.accounts) == accounts
    target.close()


def test_a_locked_row_is_tried_once_more(box: Running, org: Connection, dial: Dial) -> None:
    """UNABLE_TO_LOCK_ROW wrote nothing: one more try, and after a second lock it is for later."""
    target = make_target(org, LANDSCAPE)
    target._sleep = lambda _: None
    dial.fault("salesforce", "lock_row", times=1)
    assert target.apply(_order(box, next(_VERSIONS))).outcome == "applied"
    dial.fault("salesforce", "lock_row", times=2)
    with pytest.raises(TransientError):
        target.apply(_order(box, next(_VERSIONS)))
    target.close()


def test_a_lost_answer_is_unknown_and_reading_tells(box: Running, org: Connection, dial: Dial) -> None:
    """Executed, but the answer never came: unknown; the target shows that it was done, so it isn't written again."""
    target = make_target(org, LANDSCAPE)
    order = _order(box, next(_VERSIONS))
    dial.fault("salesforce", "drop_response_after_execute", times=1)
    with pytest.raises(UnknownOutcome):
        target.apply(order)
    assert target.read(order).outcome == "already"
    assert target.apply(replace(order, attempt=2)).outcome == "already"
    target.close()


def test_wrong_credentials_are_said_in_words(box: Running, org: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The org refuses the login: an error about credentials that quotes the org and no secret."""
    monkeypatch.setenv(org.secrets["client_secret"].removeprefix("env:"), "wr0ng-secret")
    source = make_source(org, LANDSCAPE)
    with pytest.raises(AuthError, match="invalid") as refused:
        _all(source, box)
    assert "wr0ng-secret" not in repr(refused.value) + repr(source)
    source.close()


def test_a_required_field_that_is_not_visible_is_named(box: Running, org: Connection) -> None:
    """Without read access to a field we need, the error names the field and what to do."""
    source = make_source(org.model_copy(update={"options": {**org.options, "fields": {"contract_value": "Nothing__c"}}}), LANDSCAPE)
    with pytest.raises(DataError, match="Nothing__c") as drift:
        list(pages_of(source, "contracts", None, now=box.world.now))
    assert drift.value.cause == "schema_drift"
    source.close()


def test_the_probe_says_what_is_well_and_what_is_not(box: Running, org: Connection) -> None:
    """Every step of the connection test is well here; with a wrong field name one is not, and says which."""
    source = make_source(org, LANDSCAPE)
    findings = list(source.probe(now=box.world.now))
    source.close()
    assert all(finding.ok for finding in findings), findings
    assert {"credentials", "version", "Account fields", "contracts first page"} <= {finding.what for finding in findings}
    lame = make_source(org.model_copy(update={"options": {**org.options, "fields": {"contract_value": "Nothing__c"}}}), LANDSCAPE)
    unwell = [finding for finding in lame.probe(now=box.world.now) if not finding.ok]
    lame.close()
    assert unwell
    assert all("Nothing__c" in finding.words for finding in unwell)


def test_calls_are_counted_by_the_orgs_own_word(box: Running, source: Source) -> None:
    """Every answer says how many calls are used of how many; the source passes it on."""
    _all(source, box)
    assert isinstance(source, Metered)
    used, limit = source.calls()
    assert used > 0
    assert limit == 100_000


def test_regions_follow_the_legal_entity_and_the_country(box: Running, org: Connection) -> None:
    """Deals belong to the region of their legal entity, accounts to that of their country."""
    source = make_source(org.model_copy(update={"options": {**org.options, "region_by_country": {"US": "NA", "JP": "APAC"}}}), LANDSCAPE)
    store = Store()
    for stream in ("accounts", "contracts"):
        pull(source, stream, None, store, now=box.world.now)
    source.close()
    frame = pl.DataFrame(list(store.live("contract").values()))
    regions = dict(frame.select("legal_entity", "region").unique().iter_rows())
    assert regions == {entity.code: entity.region for entity in LANDSCAPE.legal_entities if entity.code in regions}
    assert {row["region"] for row in store.live("customer").values() if row["country"] == "US"} <= {"NA"}


def test_a_backfill_in_bulk_says_what_the_pages_say(box: Running, org: Connection, dial: Dial) -> None:
    """Every stream by a job and by pages: the same facts, quotes among them."""
    dial.clear()
    held = {}
    for way, options in (("pages", {"bulk_from": None}), ("bulk", {"bulk_from": 1, "page_size": 200, "bulk_page": 17})):
        source = make_source(org.model_copy(update={"options": {**org.options, **options}}), LANDSCAPE)
        dial.fault("salesforce", "page_size", size=5)
        store = Store()
        for stream in source.streams():
            pull(source, stream.name, None, store, now=box.world.now, pages_max=500)
        source.close()
        assert store.rejects == []
        held[way] = store
    assert held["bulk"].digest() == held["pages"].digest()
    quotes = held["bulk"].live("quote").values()
    assert len(quotes) == sum(deal.probability >= 50 or deal.stage.startswith("Closed") for deal in box.world.opportunities.values())
    assert {row["opportunity_key"] for row in quotes} <= set(box.world.opportunities)


def test_a_job_that_fails_there_costs_nothing(box: Running, org: Connection, dial: Dial) -> None:
    """The org fails the job without a word; pages bring everything."""
    dial.fault("salesforce", "job_failed", times=1)
    source = make_source(org.model_copy(update={"options": {**org.options, "bulk_from": 1}}), LANDSCAPE)
    store = _all(source, box)
    source.close()
    assert _held(store) == _true(box)


def test_an_org_without_quotes_or_currencies_is_read_all_the_same(box: Running, org: Connection, dial: Dial) -> None:
    """No Quote object: its stream is quiet and the probe says so. No CurrencyIsoCode: the connection's currency stands for it."""
    dial.fault("salesforce", "hidden", entity="Quote")
    dial.fault("salesforce", "hidden", entity="Opportunity", field="CurrencyIsoCode")
    source = make_source(org.model_copy(update={"options": {**org.options, "currency": "EUR"}}), LANDSCAPE)
    assert list(source.pull("quotes", None, now=box.world.now)) == []
    store = _all(source, box)
    assert {row["currency"] for row in store.live("opportunity").values()} == {"EUR"}
    findings = {finding.what: finding for finding in source.probe(now=box.world.now)}
    source.close()
    assert findings["Quote fields"].ok
    assert "stays quiet" in findings["Quote fields"].words


def test_a_jwt_login_reads_like_any_other(box: Running, org: Connection, dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate in the org, the key with us; a user without one is refused with what to do."""
    monkeypatch.setenv("SF_SANDBOX_KEY", PEM)
    secrets = {"client_id": org.secrets["client_id"], "private_key": "env:SF_SANDBOX_KEY"}
    ours = org.model_copy(update={"secrets": secrets, "options": {**org.options, "username": "tidegate@meridian.example"}})
    source = make_source(ours, LANDSCAPE)
    with pytest.raises(AuthError):
        _all(source, box)
    dial.act("upload_certificate", username="tidegate@meridian.example", public_key=PUBLIC)
    store = _all(source, box)
    source.close()
    assert _held(store) == _true(box)


def test_a_merge_names_the_account_that_lives_on(box: Running, org: Connection, dial: Dial) -> None:
    """The loser comes as deleted and as merged; the deals it had come anew under the winner."""
    winner, loser = list(box.world.accounts)[:2]
    source = make_source(org, LANDSCAPE)
    held = Store()
    cursor = pull(source, "accounts", None, held, now=box.world.now).cursor
    dial.act("merge_accounts", winner=winner, loser=loser)
    pull(source, "accounts", cursor, held, now=box.world.now)
    source.close()
    assert held.rows["customer", loser]["is_deleted"]
    assert held.rows["customer_merge", loser]["into_key"] == winner
    assert loser not in {deal.account for deal in box.world.opportunities.values()}


def test_collections_go_back_together(box: Running, org: Connection, dial: Dial) -> None:
    """Several accounts with one call; one that is locked for a moment is tried again in a second one."""
    numbers = [a.erp_number for a in box.world.accounts.values() if a.erp_number and not a.deleted][:5]
    dial.fault("salesforce", "lock_row", times=1)
    target = make_target(org, LANDSCAPE)
    target._sleep = lambda _: None
    version = next(_VERSIONS)
    outcomes = target.apply_many([_order(box, version, customer_number=number) for number in numbers])
    target.close()
    assert [getattr(outcome, "outcome", outcome) for outcome in outcomes] == ["applied"] * 5
