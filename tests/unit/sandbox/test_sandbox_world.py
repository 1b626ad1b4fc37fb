"""The world behind the sandbox: the same from a seed, its books balance, and it survives."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.clock import WorldClock
from sandbox.faults import Dial
from sandbox.host import open_world
from sandbox.journal import Journal
from sandbox.world.engine import World
from sandbox.world.founding import found, shares
from sandbox.world.reference import BANK_ACCOUNTS, LATE_SHARE, iban, quantile
from sandbox.world.truth import invoice_totals, truth

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def frozen() -> bytes:
    """A world of 40 customers and 300 days, pickled, so that each test has its own."""
    return pickle.dumps(found(7, OPENED, customers=40, history_days=300))


@pytest.fixture
def world(frozen: bytes) -> World:
    """A world of its own."""
    one = pickle.loads(frozen)
    assert isinstance(one, World)
    return one


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    """Two worlds of one seed tell the same truth after the same time; another seed tells another."""
    again, other = found(7, OPENED, customers=40, history_days=300), found(8, OPENED, customers=40, history_days=300)
    for one in (world, again, other):
        one.advance(OPENED + timedelta(days=5))
    assert truth(world) == truth(again)
    assert truth(world) != truth(other)


def test_small_steps_and_one_leap_end_alike(world: World, frozen: bytes) -> None:
    """How often the clock is looked at changes nothing."""
    leap = pickle.loads(frozen)
    leap.advance(OPENED + timedelta(days=2))
    for minutes in range(0, 2 * 24 * 60 + 1, 7):
        world.advance(OPENED + timedelta(minutes=minutes))
    world.advance(OPENED + timedelta(days=2))
    assert truth(world) == truth(leap)


def test_every_region_has_customers_and_history_is_settled_mostly(world: World) -> None:
    """Six entities have customers; most invoices are paid, some open, some late."""
    assert {c.entity for c in world.customers.values()} == set(shares(40))
    invoices = [i for i in world.invoices.values() if i.kind == "F2" and not i.cancelled]
    paid = [i for i in invoices if i.paid_on is not None and i.open == 0]
    late = sum(1 for i in paid if i.paid_on is not None and i.paid_on > i.due) / len(paid)
    assert len(invoices) > 400
    assert 0.6 < len(paid) / len(invoices) < 0.95
    assert 0.1 < late < 0.5


def test_payments_and_invoices_agree(world: World) -> None:
    """What invoices say was paid is what posted, unreversed payments apply to them, to the cent."""
    world.advance(OPENED + timedelta(days=20))
    applied: dict[str, Decimal] = {}
    for payment in world.payments.values():
        assert sum(a for _, a in payment.applications) == payment.amount
        if payment.posted_at is not None and not payment.reversed:
            for number, amount in payment.applications:
                applied[number] = applied.get(number, Decimal(0)) + amount * world.invoices[number].sign
    for invoice in world.invoices.values():
        assert invoice.paid == applied.get(invoice.number, Decimal(0)), invoice.number
        assert Decimal(0) <= invoice.paid <= invoice.gross


def test_closing_balances_chain(world: World) -> None:
    """Of every account: opening plus all booked lines up to a day is that day's closing, and no day is missing."""
    for code, account in BANK_ACCOUNTS.items():
        days = sorted(world.closings[code])
        assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
        for day in (days[0], days[len(days) // 2], days[-1]):
            booked = sum(line.amount for line in world.bank_lines[code] if line.booked <= day)
            assert world.closings[code][day] == account.opening + booked


def test_orders_of_contracts_wait_for_a_release(world: World) -> None:
    """After the opening an activated contract's order waits blocked with credit status B, and nobody releases it."""
    world.advance(OPENED + timedelta(days=4))
    fresh = [o for o in world.orders.values() if o.contract and o.created_at > OPENED]
    assert fresh
    assert {(o.block, o.credit_status) for o in fresh} == {("01", "B")}
    assert all(world.contracts[o.contract or ""].number == o.reference for o in fresh)


def test_some_contracts_go_beyond_the_limit(world: World) -> None:
    """A few contracts are worth more than the customer's whole limit, converted at the day's rate."""
    beyond = [c for c in world.contracts.values() if c.beyond]
    assert 0.02 < len(beyond) / len(world.contracts) < 0.15
    amounts = invoice_totals(world)
    assert {row["currency"] for row in amounts} >= {"EUR", "GBP", "USD", "JPY", "SGD", "MXN"}


def test_a_killed_world_comes_back_the_same(tmp_path: Path) -> None:
    """Snapshot and journal give the world that was killed, its writes included, without a clean end."""
    first = open_world(tmp_path, seed=7, customers=10, history_days=40, rate=0, start_at=OPENED)
    made = first.run("act", do="activate_contract", customer="10100001", value="5000")
    first.run("update_order", host="sap-emea", number=made["order"], changes={"DeliveryBlockReason": ""}, request_id="r1")
    first.advance(timedelta(days=3))
    before = truth(first.world), [(w.seq, w.action, w.key, w.world_at) for w in first.world.writes]
    second = open_world(tmp_path, seed=99, customers=3, history_days=9, rate=0, start_at=OPENED)
    after = truth(second.world), [(w.seq, w.action, w.key, w.world_at) for w in second.world.writes]
    assert before == after
    assert second.clock.now() == first.clock.now()


def test_a_cut_last_line_of_the_journal_is_left_out(tmp_path: Path) -> None:
    """A writer killed in the middle of a line loses that line and no other; later lines are kept, too."""
    first = open_world(tmp_path, seed=7, customers=10, history_days=40, rate=0, start_at=OPENED)
    first.run("act", do="new_contract")
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"seq": 99, "at": "2026-')
    Journal(tmp_path).operation(first.world, "act", {"do": "dispute"})
    again = Journal(tmp_path).load()
    assert again is not None
    assert again.journal_seq == first.world.journal_seq


def test_iban_check_digits() -> None:
    """A well-known IBAN gets its known check digits."""
    assert iban("DE", "370400440532013000") == "DE89370400440532013000"


def test_quantiles_meet_the_published_figures() -> None:
    """The payment habits hit the percentiles they are calibrated on."""
    assert [quantile(LATE_SHARE, u) for u in (0.1, 0.25, 0.5, 0.75, 0.9)] == [2, 8, 20, 39, 62]


def test_world_time_can_be_frozen_and_moved_by_hand() -> None:
    """The clock runs at its rate, stands when frozen, and never goes back."""
    seconds = [0.0]
    clock = WorldClock(OPENED, 288.0, lambda: seconds[0])
    seconds[0] = 10.0
    assert clock.now() == OPENED + timedelta(seconds=2880)
    clock.set_rate(0.0)
    seconds[0] = 20.0
    assert clock.now() == OPENED + timedelta(seconds=2880)
    clock.advance(timedelta(days=1))
    assert clock.now() == OPENED + timedelta(days=1, seconds=2880)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(timedelta(seconds=-1))


def test_faults_end_by_times_and_by_seconds() -> None:
    """A fault with times is used up; one with seconds passes; wrong ones are refused in words."""
    seconds = [0.0]
    dial = Dial(lambda: seconds[0])
    dial.set("kyriba", "outage", times=2)
    dial.set("sap-na", "server_error", seconds=5, entity="A_SalesOrder")
    assert [dial.take("kyriba", "outage") is not None for _ in range(3)] == [True, True, False]
    assert dial.peek("sap-na", "server_error", "A_BillingDocument") is None
    assert dial.peek("sap-na", "server_error", "A_SalesOrder") is not None
    seconds[0] = 6.0
    assert dial.peek("sap-na", "server_error", "A_SalesOrder") is None
    with pytest.raises(ValueError, match="unknown kind"):
        dial.set("kyriba", "gremlins")
    with pytest.raises(ValueError, match="can't be set on kyriba"):
        dial.set("kyriba", "lock_row")
