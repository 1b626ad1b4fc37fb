"""BAI2: what lands, in the currency's own decimals, and every count and total of the file held against what was read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sync.errors import DataError
from sync.statements import followed
from sync.statements.bai2_records import records, transaction
from tests.unit.statements.camt_files import OWNERS, read, rows

ACCOUNT = "0975312468"
SUMMED = ("010", "015", "045", "100", "400")


def bai2(
    *details: str, account: str = f"03,{ACCOUNT},USD,010,10000,,,015,16050,,,045,15000,4,0/", currency: str = "USD", modifier: str = "2",
    as_of: str = "260302", status: str = "1", totals: tuple[int, int, int] | None = None, physical: int | None = None,
) -> str:  # fmt: skip
    """A file of one account whose trailers are right, unless `totals` (49, 98, 99) or `physical` (records of the account) say otherwise."""
    total = sum(_amounts([account, *details]))
    inner = physical or 2 + len([line for detail in details for line in detail.split("\n")])
    given = totals or (total, total, total)
    return "\n".join([
        "01,122099999,123456789,260303,0800,1,,,2/", f"02,031001234,122099999,{status},{as_of},2359,{currency},{modifier}/", account, *details,
        f"49,{given[0]},{inner}/", f"98,{given[1]},1,{inner + 2}/", f"99,{given[2]},1,{inner + 4}/", "",
    ])  # fmt: skip


def _amounts(lines: list[str]) -> list[int]:
    """The amounts of the records, as far as they are some."""
    found: list[str] = []
    for line in lines:
        fields = line.replace("/\n88,", ",").rstrip("/").split(",")
        found += [fields[at + 1] for at in range(3, len(fields) - 1) if fields[at] in SUMMED] if line.startswith("03") else [fields[2]]
    return [int(each) for each in found if each.lstrip("-").isdigit()]


CREDIT = "16,165,6050,V,260303,,BANK-1,CUST-1,ACME LTD, INVOICE 4711/4712/"


def test_an_account_lands_with_its_balances_and_lines() -> None:
    """Amounts in cents become amounts; the funds type names the value date; the text keeps its commas and slashes."""
    found = read(bai2(CREDIT).encode())
    [line] = rows(found, "bank_transaction")
    assert (line["amount"], line["currency"], line["booking_date"], line["value_date"]) == (
        Decimal("60.5"),
        "USD",
        date(2026, 3, 2),
        date(2026, 3, 3),
    )
    assert (line["entry_reference"], line["end_to_end_id"], line["remittance"]) == ("BANK-1", "CUST-1", "ACME LTD, INVOICE 4711/4712")
    assert (line["bank_code"], line["account"]) == ("165", ACCOUNT)
    assert line["changed_at"] == datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
    assert [(row["balance_type"], row["amount"]) for row in rows(found, "bank_balance")] == [
        ("opening_booked", Decimal(100)), ("closing_booked", Decimal("160.5")), ("available", Decimal(150)),
    ]  # fmt: skip
    assert [(t.verdict, t.agree) for t in found.control_totals if t.verdict in ("totals", "balances")] == [("totals", True)] * 5 + [
        ("balances", True)
    ]
    assert followed({}, bai2(CREDIT).encode(), OWNERS)[ACCOUNT]["closing"] == "160.50"


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("16,165,1500000,1,DD1620, DEALER PAYMENTS/", ("1", "DD1620", "DEALER PAYMENTS", "")),
        ("16,115,10000000,S,5000000,4000000,1000000/\n88,AX13612,B096132,AMALGAMATED CORP. LOCKBOX\n88,DEPOSIT-MISC. RECEIVABLES",
         ("S", "AX13612", "B096132", "AMALGAMATED CORP. LOCKBOX DEPOSIT-MISC. RECEIVABLES")),
        ("16,475,5000,D,2,0,3000,1,2000,BREF,CREF,TEXT/", ("D", "BREF", "CREF", "TEXT")),
        ("16,475,5000,0,BREF,CREF,TEXT, WITH/ ALL, OF IT", ("0", "BREF", "CREF", "TEXT, WITH/ ALL, OF IT")),
        ("16,475,5000,,,CREF,/", ("", "", "CREF", "")),
        ("16,475,5000,Z,BREF/", ("Z", "BREF", "", "")),
        ("16,475,5000/", ("", "", "", "")),
        ("16,399,5000,2,BREF,CREF,\n88,ONE\n88,TWO/", ("2", "BREF", "CREF", "ONE TWO")),
    ],
)  # fmt: skip
def test_funds_types_have_their_own_lengths(record: str, fields: tuple[str, str, str, str]) -> None:
    """S has three amounts behind it, V a date and a time, D as many pairs as it says; then come the references and the text."""
    [found] = records(record.split("\n"))
    read_ = transaction(found)
    assert (read_.funds, read_.bank_reference, read_.customer_reference, read_.text) == fields


def test_continuations_and_several_records_on_one_line() -> None:
    """88 goes on where the record before it stopped; it counts as a record, and on one line with others too."""
    account = f"03,{ACCOUNT},USD,010,10000,,/\n88,015,16050,,,045,15000,4,0/"
    text = bai2(CREDIT, account=account, physical=4)
    for body in (
        text,
        text.replace("/\n", "/"),
        text.replace("/\n", " /  "),
        text.replace("/\n", "\n"),
        text.replace("\n", "\r\n"),
        text.replace("\n", "   \n"),
    ):
        found = read(body.encode())
        assert [row["amount"] for row in rows(found, "bank_transaction")] == [Decimal("60.5")], body
        assert len(rows(found, "bank_balance")) == 3


def test_a_currency_has_its_own_decimals() -> None:
    """Yen have none, Bahraini dinars three; an account's currency goes before its group's, and without either it is US dollars."""
    for code, amount in (("JPY", "6050"), ("BHD", "6.050"), ("USD", "60.50")):
        account = f"03,{ACCOUNT},{code},010,10000,,,015,16050,,/"
        assert rows(read(bai2(CREDIT, account=account).encode()), "bank_transaction")[0]["amount"] == Decimal(amount)
    account = f"03,{ACCOUNT},,010,10000,,,015,16050,,/"
    assert rows(read(bai2(CREDIT, account=account, currency="JPY").encode()), "bank_transaction")[0]["currency"] == "JPY"
    assert rows(read(bai2(CREDIT, account=account, currency="").encode()), "bank_transaction")[0]["currency"] == "USD"


@pytest.mark.parametrize(
    ("code", "amount"),
    [("108", "60.5"), ("399", "60.5"), ("920", "60.5"), ("721", "60.5"), ("475", "-60.5"), ("699", "-60.5"), ("960", "-60.5")],
)
def test_the_code_says_whether_money_came_or_went(code: str, amount: str) -> None:
    """101 to 399 come, 401 to 699 go; banks' own codes by their ranges."""
    closing = int(10000 + Decimal(amount) * 100)
    account = f"03,{ACCOUNT},USD,010,10000,,,015,{closing},,/"
    assert rows(read(bai2(f"16,{code},6050,,B,C,T/", account=account).encode()), "bank_transaction")[0]["amount"] == Decimal(amount)


def test_an_account_with_sums_only_balances_by_its_sums() -> None:
    """100 and 400 are what came and went, where no single line is told; lines that are told have to add up to them."""
    account = f"03,{ACCOUNT},USD,010,10000,,,100,7050,3,,400,1000,1,,015,16050,,/"
    found = read(bai2(account=account).encode())
    assert [(t.agree, t.computed_amount) for t in found.control_totals if t.verdict == "balances"] == [(True, Decimal("160.5"))]
    with pytest.raises(DataError) as refused:
        read(bai2(account=account.replace("7050", "7051")).encode())
    assert refused.value.cause == "balance_mismatch"
    with pytest.raises(DataError) as refused:
        read(bai2(CREDIT, account=f"03,{ACCOUNT},USD,010,10000,,,100,6000,1,,015,16050,,/").encode())
    assert (refused.value.cause, refused.value.evidence["off_by"]) == ("control_total", "-0.50")


def test_sums_of_more_than_is_told_one_by_one_refuse_nothing() -> None:
    """A bank sums everything up and tells what was agreed, as the format's own sample does: that is told. Where it counts as many as it
    tells, its sum has to be theirs.
    """
    account = f"03,{ACCOUNT},USD,010,10000,,,100,9000{{}},,,400,2000,,/"
    for count in (",", ",3"):
        found = read(bai2(CREDIT, account=account.replace("{},", count)).encode())
        assert ["may sum up more" in total.subject for total in found.control_totals if total.verdict == "totals"][-1:] == [True]
        assert rows(found, "bank_transaction")[0]["amount"] == Decimal("60.5")
    with pytest.raises(DataError) as refused:
        read(bai2(CREDIT, account=account.replace("{},", ",1")).encode())
    assert refused.value.cause == "control_total"


def test_a_total_that_is_left_blank_declares_nothing() -> None:
    """The records are still counted, and the next level's total still holds the amounts."""
    body = bai2(CREDIT).replace("49,47100,", "49,,")
    assert rows(read(body.encode()), "bank_transaction")
    for wrong in (body.replace("49,,3", "49,,4"), body.replace("98,47100", "98,47101")):
        with pytest.raises(DataError) as refused:
            read(wrong.encode())
        assert refused.value.cause == "control_total"


def test_a_time_with_colons_and_a_message_of_nothing() -> None:
    """A British bank writes 14:59:35; and a record 890 that moves no money may say 0."""
    body = bai2(CREDIT, "16,890,0,,,,for your information/").replace(",0800,", ",14:59:35,")
    [line] = rows(read(body.encode()), "bank_transaction")
    assert line["changed_at"] == datetime(2026, 3, 3, 13, 59, 35, tzinfo=UTC)


@pytest.mark.parametrize("width", [0, 80])
def test_records_without_line_ends(width: int) -> None:
    """All of a long file in one line: records of the length that its header names, whether a slash ends them or not; or parted by slashes."""
    details = [f"16,165,{'1' * (1 + n % 5)},0,B{n},C,text {'x' * (n % 17)} {n}{'/' if not width or n % 3 else ''}" for n in range(1500)]
    total = sum(int(each.split(",")[2]) for each in details)
    body = bai2(*details, account=f"03,{ACCOUNT},USD,010,0,,,015,{total},,/", totals=(2 * total,) * 3).replace(
        ",1,,,2/", f",1,{width or ''},,2/"
    )
    found = rows(read("".join(line.ljust(width) for line in body.splitlines()).encode()), "bank_transaction")
    assert [row["amount"] for row in found] == [row["amount"] for row in rows(read(body.encode()), "bank_transaction")]
    assert [row["remittance"] for row in found] == [f"text {'x' * (n % 17)} {n}".replace("  ", " ") for n in range(1500)]


def test_a_report_of_the_same_day_is_no_closed_statement() -> None:
    """Modifier 3: interim same-day. Its ledger balance is intraday, and the line keeps the key that the closed day will give it."""
    interim = read(bai2(CREDIT, account=f"03,{ACCOUNT},USD,015,16050,,/", modifier="3").encode())
    assert [row["balance_type"] for row in rows(interim, "bank_balance")] == ["intraday"]
    assert followed({}, bai2(CREDIT, modifier="3").encode(), OWNERS) == {}
    assert rows(interim, "bank_transaction")[0]["source_key"] == rows(read(bai2(CREDIT).encode()), "bank_transaction")[0]["source_key"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (bai2(CREDIT, totals=(47101, 47100, 47100)), "control_total"),
        (bai2(CREDIT, totals=(47100, 47101, 47100)), "control_total"),
        (bai2(CREDIT, totals=(47100, 47100, 47101)), "control_total"),
        (bai2(CREDIT, physical=4), "control_total"),
        (bai2(CREDIT).replace("98,47100,1,", "98,47100,2,"), "control_total"),
        (bai2(CREDIT.replace("6050", "6049"), totals=(47099, 47099, 47099)), "balance_mismatch"),
        (bai2(CREDIT).partition("49,")[0], "file_unreadable"),
        (bai2(CREDIT).partition("99,")[0], "file_unreadable"),
        (bai2(CREDIT).rpartition(",")[0], "file_unreadable"),
        (bai2(account="03,1,QQQ/"), "bad_currency"),
        (bai2(CREDIT)[:40], "file_unreadable"),
        (bai2(CREDIT).replace("\n16,", "\n17,"), "file_unreadable"),
        (bai2(CREDIT).replace("\n02,", "\n03,", 1), "file_unreadable"),
        (bai2(CREDIT) + ":20:STARTUMS\n", "file_unreadable"),
        (bai2("16,165,60.50,,B,C,T/", totals=(1, 1, 1)), "bad_amount"),
        (bai2("16,165,,,B,C,T/"), "bad_amount"),
        (bai2("16,ABC,6050,,B,C,T/"), "bad_value"),
        (bai2("16,010,6050,,B,C,T/"), "bad_value"),
        (bai2(CREDIT, currency="QQQ", account=f"03,{ACCOUNT},,010,10000,,,015,16050,,/"), "bad_currency"),
        (bai2(CREDIT, as_of="260230"), "bad_date"),
        (bai2(CREDIT.replace("260303", "260230")), "bad_date"),
        (bai2(CREDIT).replace("260303,0800", "260303,2561"), "bad_time"),
        (bai2(CREDIT, status="2"), "bad_value"),
        (bai2(CREDIT, status="4"), "bad_value"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_refuses_the_whole_file(text: str, cause: str) -> None:
    """A wrong count or sum at any level, a cut file, an amount with a point: nothing lands, and the evidence says why."""
    with pytest.raises(DataError) as refused:
        read(text.encode())
    assert refused.value.cause == cause
    assert json.loads(json.dumps(refused.value.evidence))


def test_a_wrong_total_says_by_how_much_and_at_which_level() -> None:
    """The evidence of a check total: the record, what it says, what was counted, the difference."""
    with pytest.raises(DataError) as refused:
        read(bai2(CREDIT, totals=(47101, 47101, 47101)).encode())
    assert refused.value.evidence["subject"] == f"account {ACCOUNT} 122099999 2026-03-02 (49)"
    assert (refused.value.evidence["declared_amount"], refused.value.evidence["computed_amount"]) == ("471.01", "471.00")
    assert refused.value.evidence["off_by"] == "0.01"
