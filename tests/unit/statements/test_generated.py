"""Hundreds of files in the dialects of many banks, made from known facts: every amount, sign, date, reference and text comes out as it went in."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from sync.statements.bai2_records import records, summaries
from sync.statements.mt_details import details
from tests.unit.statements import generated as made
from tests.unit.statements.camt_files import read, rows
from tests.unit.statements.generated import Told

SEEDS = range(40)
ALIKE = {"amount": "amount", "booking_date": "booked", "value_date": "valued"}
SAID = {
    **ALIKE, "end_to_end_id": "end_to_end", "remittance": "remittance", "counterparty_name": "name", "counterparty_account": "account",
    "is_reversal": "reversal",
}  # fmt: skip


def hold(body: str | bytes, told: list[Told], fields: dict[str, str], encoding: str = "utf-8") -> None:
    """The rows of the file against what it was made of, line by line, and its balances."""
    found = read(body.encode(encoding) if isinstance(body, str) else body)
    assert all(total.agree for total in found.control_totals)
    wanted = [
        {"account": one.account, "currency": one.currency, **{theirs: getattr(line, ours) for theirs, ours in fields.items()}}
        for one in told
        for line in one.lines
    ]
    assert [{name: row[name] for name in want} for row, want in zip(rows(found, "bank_transaction"), wanted, strict=True)] == wanted
    balances = {(row["account"], row["balance_type"]): row["amount"] for row in rows(found, "bank_balance")}
    for one in told if told[0].final else ():
        assert (balances[one.account, "opening_booked"], balances[one.account, "closing_booked"]) == (one.opening, one.closing)


@pytest.mark.parametrize("seed", SEEDS)
def test_mt940_in_many_dialects(seed: int) -> None:
    """Pages, envelopes, entry dates and funds codes or none; German and Dutch information; every line end and two encodings."""
    chance = random.Random(seed)
    currency = chance.choice(list(made.PLACES))
    told = [made.statement(chance, currency, chance.randrange(0, 9)) for _ in range(chance.randrange(1, 4))]
    for one in told:
        for line in one.lines:
            line.remittance = (line.remittance or "").replace("/", "-")
    body = "".join(made.mt940(one, chance, number) for number, one in enumerate(told, start=1))
    hold(body.replace("\n", chance.choice(("\n", "\r\n", "\r"))), told, SAID, chance.choice(("utf-8", "cp1252")))


@pytest.mark.parametrize("seed", SEEDS)
def test_mt942_in_many_dialects(seed: int) -> None:
    """Floor limits, control sums or none; decimals left out."""
    chance = random.Random(seed)
    told = made.statement(chance, chance.choice(list(made.PLACES)), chance.randrange(1, 9))
    told.final = False
    hold(made.mt942(told, chance), [told], SAID)


@pytest.mark.parametrize("seed", SEEDS)
def test_bai2_in_many_dialects(seed: int) -> None:
    """Two groups in two currencies, every funds type, records continued behind any field, slashes or none."""
    chance = random.Random(seed)
    groups: list[list[Told]] = []
    for currency in (chance.choice(list(made.PLACES)), "USD"):
        group = [made.statement(chance, currency, chance.randrange(0, 6), account=str(chance.randrange(10**9))) for _ in range(2)]
        for one in group:
            one.day = group[0].day
            for line in one.lines:
                line.booked, line.remittance = one.day, (line.remittance or "").replace("/", "-")
        groups.append(group)
    body = made.bai2(groups, chance)
    hold(body, [one for group in groups for one in group], {**ALIKE, "end_to_end_id": "customer_reference", "remittance": "remittance"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("166?00GUTSCHRIFT?20EREF+NOTPROVIDED?21SVWZ+RG 4711?22KUNDE 12", (None, "RG 4711KUNDE 12")),
        ("166?20EREF+ABCDEF?21KREF+XYZ?22MREF+M1?23SVWZ+TEXT?24ABWA+ANDERER", ("ABCDEF", "TEXT")),
        ("109?20EREF+RETOURE?21SVWZ+MS03 S?22ONSTIGE", ("RETOURE", "MS03 SONSTIGE")),
        ("166?20SVWZ+EIN SV?21WZ-TEXT", (None, "EIN SVWZ-TEXT")),
    ],
)
def test_a_word_with_a_plus_ends_the_one_before(text: str, expected: tuple[str | None, str | None]) -> None:
    """Whatever that one ended with: a text in capitals is no part of the word that follows in the next field."""
    found = details([text], "CRDT").detail
    assert (found.end_to_end_id, found.remittance) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["03,4,,010,1000,,,015,1000,,,190/", "88,500,,,110,100,,,072,20,,/"], {"190": "500", "110": "100", "072": "20"}),
        (["03,4,,010,1000,,,015,1000,,,190/", "88,100,110,,100,7,,/"], {"190": "100", "100": "7"}),
        (["03,4,,010,1000/", "88,015,1000,,,100,0,,/"], {"010": "1000", "015": "1000"}),
        (["03,4,,010,1000,,,015,1000,,,100,5000/", "88,120,0,110,5000,,/"], {"100": "5000", "110": "5000"}),
        (["03,4,,010,1000,,,015,1000,,,072,500,2,S/", "88,200,200/", "88,100,100,0,,/"], {"072": "500", "100": "0"}),
    ],
)
def test_a_summary_goes_on_behind_any_field(lines: list[str], expected: dict[str, str]) -> None:
    """The account's record is continued in the middle of a type, as the format's own sample is."""
    [record] = list(records(lines))
    found = {each.code: each.amount for each in summaries(record)}
    assert {code: found.get(code) for code in expected} == expected


def test_a_text_that_a_bank_breaks_where_its_lines_end() -> None:
    """No 88 before the rest of it: the record has no slash yet. Counts and sums still have to agree."""
    body = (
        "01,A,B,260303,0800,1,,,2/\n02,B,A,1,260302,2359,USD,2/\n03,77,,010,0,,,015,2500,,/\n"
        "16,142,2500,Z,,,111     ACH_SETL\n111222        /\n88,  end/\n49,5000,4/\n98,5000,1,6/\n99,5000,1,8/\n"
    )
    [row] = rows(read(body.encode()), "bank_transaction")
    assert (row["amount"], row["remittance"]) == (Decimal(25), "111 ACH_SETL 111222 end")


def test_blanks_for_an_entry_date() -> None:
    """Some banks leave the place of the date blank, and what is no funds code to one is one to another."""
    body = ":20:1\n:25:1\n:28C:1\n:60F:C260302EUR0,\n:61:260302    DD2,39NMSCNONREF//\n:61:260302    C65,00NOVBNL47INGB9999999999\n:62F:C260302EUR62,61\n-\n"
    found: list[Any] = rows(read(body.encode()), "bank_transaction")
    assert [row["amount"] for row in found] == [Decimal("-2.39"), Decimal(65)]
