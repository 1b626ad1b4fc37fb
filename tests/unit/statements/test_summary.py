"""camt's own summary of its entries: agrees in the ways in which banks count, is told where it differs, and refuses where nothing else proves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sync.errors import DataError
from sync.ports import ControlTotal
from tests.unit.statements.camt_files import Camt, read

NEW = Camt("053", 8)
NOTICE = Camt("054", 8)
PENDING = NEW.entry("7.00", "CRDT", status="PDNG", reference="P1")
BATCH = "".join(NEW.transaction(end_to_end=f"E{n}", amount=NEW.part(amount)) for n, amount in enumerate(("20.00", "40.50")))


def summary(*lines: tuple[str, str | None, str | None]) -> str:
    """(line, count, sum) each."""
    inner = "".join(
        f"<{name}>{'' if count is None else f'<NbOfNtries>{count}</NbOfNtries>'}{'' if amount is None else f'<Sum>{amount}</Sum>'}</{name}>"
        for name, count, amount in lines
    )
    return f"<TxsSummry>{inner}</TxsSummry>"


def totals(body: bytes) -> list[ControlTotal]:
    return [total for total in read(body).control_totals if total.verdict == "totals"]


@pytest.mark.parametrize(
    ("entries", "lines"),
    [
        (NEW.entry(), [("TtlNtries", "1", "60.50"), ("TtlCdtNtries", "1", "60.5"), ("TtlDbtNtries", "0", "0")]),
        (NEW.entry(details=BATCH), [("TtlNtries", "2", "60.50")]),  # transactions are counted
        (NEW.entry(details=BATCH), [("TtlNtries", "1", "60.50")]),  # the batch is
        (NEW.entry() + PENDING, [("TtlNtries", "2", "67.50")]),  # with what is not booked
        (NEW.entry() + PENDING, [("TtlNtries", "1", "60.50")]),  # without it
        (NEW.entry(), [("TtlNtries", "1", None), ("TtlCdtNtries", None, "60.50")]),
        (NEW.entry(), [("TtlNtries", None, None)]),
        (NEW.entry(), [("TtlNtries", "one", "n/a")]),  # nothing that could be compared
    ],
)
def test_a_summary_agrees_however_the_bank_counts(entries: str, lines: list[Any]) -> None:
    """Transactions or entries, with what is pending or without it."""
    found = totals(NEW.document(summary(*lines) + entries))
    assert all(total.agree for total in found)
    assert not [total for total in found if total.subject.startswith("warning")]
    assert len(found) == sum(1 for _, count, amount in lines if (count or amount) and (count or "0").isdigit())


def test_a_summary_that_differs_is_told_where_the_balances_prove_the_entries() -> None:
    """Some banks sum otherwise; opening plus entries is closing, and the file lands."""
    [told] = totals(NEW.document(summary(("TtlCdtNtries", "3", "99.00")) + NEW.entry()))
    assert told.agree
    assert told.subject.startswith("warning: credits of ")
    assert "it says 3 records, there are 1; it says 99, the sum is 60.5; the balances prove the entries" in told.subject


def test_a_summary_is_evidence_of_what_a_statement_lacks() -> None:
    """Where the balances do not agree, it says on which side something is missing."""
    with pytest.raises(DataError) as refused:
        read(NEW.document(summary(("TtlCdtNtries", "2", "60.50"), ("TtlDbtNtries", "0", "0")) + NEW.entry("60.49")))
    assert (refused.value.cause, refused.value.evidence["off_by"]) == ("balance_mismatch", "0.01")
    shown = {each["subject"]: each for each in refused.value.evidence["verdicts"] if each["verdict"] == "totals"}  # type: ignore[attr-defined]
    [lacking] = [each for subject, each in shown.items() if subject.startswith("credits")]
    assert (lacking["agree"], lacking["declared"], lacking["computed"]) == (False, "60.5", "60.49")
    assert all(each["agree"] for subject, each in shown.items() if subject.startswith("debits"))


def test_a_summary_refuses_where_it_is_the_only_proof() -> None:
    """A notification has no balances: an entry that was lost on the way would never be seen."""
    good = NOTICE.document(summary(("TtlNtries", "1", "60.50")) + NOTICE.entry())
    assert [total.computed_amount for total in totals(good)] == [Decimal("60.5")]
    with pytest.raises(DataError) as refused:
        read(NOTICE.document(summary(("TtlNtries", "2", "70.50")) + NOTICE.entry()))
    assert (refused.value.cause, refused.value.evidence["off_by"]) == ("control_total", "10")
    with pytest.raises(DataError, match="it says 2 records, there are 1"):
        read(NOTICE.document(summary(("TtlNtries", "2", "60.50")) + NOTICE.entry()))
    page = summary(("TtlNtries", "2", "70.50"))
    paged = NOTICE.document(page + NOTICE.entry()).replace(
        b"</Id><CreDtTm>", b"</Id><NtfctnPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></NtfctnPgntn><CreDtTm>", 1
    )
    [told] = totals(paged)
    assert "of which this is a page" in told.subject


def test_the_edge_of_a_page_is_no_balance_of_the_day() -> None:
    """Where a statement comes in pages, `INTM` says that the balance is one between two of them."""
    interim = NEW.balance("OPBD", "100.00").replace("</CdOrPrtry>", "</CdOrPrtry><SubTp><Cd>INTM</Cd></SubTp>")
    found = read(NEW.document(NEW.entry(), balances=interim + NEW.balance("CLBD", "160.50")))
    assert found.frames["bank_balance"]["balance_type"].to_list() == ["closing_booked"]
    assert [total.agree for total in found.control_totals if total.verdict == "balances"] == [True]
    with pytest.raises(DataError, match="differs from closing"):
        read(NEW.document(NEW.entry("60.49"), balances=interim + NEW.balance("CLBD", "160.50")))
