"""The libraries beside our readers: where they are sound both read the same, and where they are wrong about money it is shown."""

from __future__ import annotations

from decimal import Decimal

import mt940  # type: ignore[import-untyped,unused-ignore]
import pytest
from bai2 import bai2 as library  # type: ignore[import-untyped,unused-ignore]
from bai2.exceptions import IntegrityException  # type: ignore[import-untyped,unused-ignore]

from sync.errors import DataError
from tests.bench.statement_files import bai2 as bai2_file
from tests.bench.statement_files import mt940 as mt940_file
from tests.unit.statements.camt_files import read, rows
from tests.unit.statements.test_bai2 import CREDIT, bai2
from tests.unit.statements.test_mt import LINE, message


def test_both_read_the_same_of_a_plain_mt940() -> None:
    """Amounts, dates and references of 300 lines."""
    body = mt940_file(300)
    [theirs] = mt940.parse_statements(body.decode(), options=mt940.Options.all())
    ours = rows(read(body), "bank_transaction")
    assert [row["amount"] for row in ours] == [each.data["amount"].amount for each in theirs.transactions]
    assert [row["value_date"] for row in ours] == [each.data["date"] for each in theirs.transactions]
    assert [row["entry_reference"] for row in ours] == [each.data["bank_reference"] for each in theirs.transactions]


def test_a_balance_without_a_currency_is_nothing_to_the_library() -> None:
    """It reads 0.00; we refuse."""
    text = message(*LINE, closing=":62F:C02032495000,00")
    [theirs] = mt940.parse_statements(text, options=mt940.Options.all())
    assert theirs.data["final_closing_balance"].amount.amount == Decimal(0)
    with pytest.raises(DataError, match="names no currency"):
        read(text.encode())


def test_a_cut_message_is_a_shorter_one_to_the_library() -> None:
    """It gives the lines that are there; we refuse."""
    text = message(*LINE, ":61:260302C1,00NMSCNONREF").partition(":61:260302C1")[0]
    [theirs] = mt940.parse_statements(text, options=mt940.Options.all())
    assert len(theirs.transactions) == 1
    with pytest.raises(DataError, match="closing balance"):
        read(text.encode())


def test_both_read_the_same_of_a_plain_bai2() -> None:
    """Amounts of 300 records, and a wrong total is refused by both."""
    body = bai2_file(300)
    [account] = library.parse_from_lines(body.decode().splitlines(), check_integrity=True).children[0].children
    ours = rows(read(body), "bank_transaction")
    assert [row["amount"] for row in ours] == [Decimal(each.amount).scaleb(-2) for each in account.children]
    wrong = body.replace(b"\n98,", b"\n98,1")
    with pytest.raises(IntegrityException):
        library.parse_from_lines(wrong.decode().splitlines(), check_integrity=True)
    with pytest.raises(DataError):
        read(wrong)


def test_a_banks_own_code_costs_the_library_the_file() -> None:
    """Codes 920 to 999 are each bank's own; we read them by their range."""
    text = bai2(CREDIT.replace("165", "925"))
    with pytest.raises(Exception, match="925"):
        library.parse_from_lines(text.splitlines(), check_integrity=True)
    assert rows(read(text.encode()), "bank_transaction")[0]["amount"] == Decimal("60.5")
