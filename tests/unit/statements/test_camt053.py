"""Bank statements: what lands, and what refuses a file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sync.connections import LegalEntity
from sync.errors import DataError
from sync.ports import Mapped
from sync.statements import Owners, followed, mapped

BERLIN = LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR", zone="Europe/Berlin")
OWNERS = Owners("bank", "EMEA", {}, [BERLIN], None)
IBAN = "DE89370400440532013000"


def entry(
    amount: str, direction: str = "CRDT", *, version: str = "02", reference: str = "R1", extra: str = "", status: str = "BOOK"
) -> str:
    sts = f"<Sts><Cd>{status}</Cd></Sts>" if version == "08" else f"<Sts>{status}</Sts>"
    name = "<Pty><Nm>ACME</Nm></Pty>" if version == "08" else "<Nm>ACME</Nm>"
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{sts}<BookgDt><Dt>2026-03-02</Dt></BookgDt>'
        f"<ValDt><DtTm>2026-03-02T00:00:00Z</DtTm></ValDt><AcctSvcrRef>{reference}</AcctSvcrRef><NtryDtls><TxDtls>"
        f"<Refs><EndToEndId>E2E-1</EndToEndId></Refs><RltdPties><Dbtr>{name}</Dbtr></RltdPties>"
        f"<RmtInf><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf>{extra}</TxDtls></NtryDtls></Ntry>"
    )


def document(entries: str, *, opening: str = "100.00", closing: str = "160.50", version: str = "02", created: str = "2026-03-02T20:00:00+01:00",
             head: str = "", namespace: bool = True) -> bytes:  # fmt: skip
    xmlns = f' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"' if namespace else ""

    def balance(code: str, amount: str) -> str:
        return (
            f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount.lstrip("-")}</Amt>'
            f"<CdtDbtInd>{'DBIT' if amount.startswith('-') else 'CRDT'}</CdtDbtInd><Dt><Dt>2026-03-02</Dt></Dt></Bal>"
        )

    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<Document{xmlns}><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt><Id>S-1</Id>'
        f"<CreDtTm>{created}</CreDtTm><Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{balance('OPBD', opening)}{balance('CLBD', closing)}{entries}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def read(body: bytes, chain: dict[str, dict[str, str]] | None = None) -> Mapped:
    return mapped(body, OWNERS, chain or {})


@pytest.mark.parametrize("version", ["02", "08"])
@pytest.mark.parametrize("namespace", [True, False])
def test_both_versions_give_the_same_facts(version: str, namespace: bool) -> None:
    """Versions 02 and 08, with and without a namespace, say the same thing."""
    result = read(document(entry("60.50", version=version), version=version, namespace=namespace))
    transaction = result.frames["bank_transaction"].row(0, named=True)
    assert transaction["amount"] == Decimal("60.5000")
    assert transaction["counterparty_name"] == "ACME"
    assert transaction["structured_reference"] == "RF18"
    assert transaction["value_date"] == date(2026, 3, 2)
    assert transaction["changed_at"] == datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    payment = result.frames["payment"].row(0, named=True)
    assert (payment["amount"], payment["status"], payment["reference"]) == (Decimal("60.5000"), "settled", "RF18")
    assert [total.verdict for total in result.control_totals if total.agree] == ["parses", "balances"]
    assert result.records == 4


def test_a_statement_that_does_not_balance_is_refused_with_its_arithmetic() -> None:
    """The evidence says which statement, which sum, and by how much."""
    with pytest.raises(DataError) as refused:
        read(document(entry("60.49")))
    assert refused.value.cause == "balance_mismatch"
    assert refused.value.evidence["off_by"] == "0.01"
    assert refused.value.evidence["statement"] == "S-1"


def test_only_booked_entries_count() -> None:
    """A pending entry neither moves the balance nor lands."""
    result = read(document(entry("60.50") + entry("999.00", status="PDNG", reference="R2")))
    assert result.frames["bank_transaction"].height == 1


def test_a_returned_payment_keeps_its_reason() -> None:
    """A debit with return information is the incoming payment, returned."""
    back = entry("20.00", "DBIT", extra="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>")
    payment = read(document(back, closing="80.00")).frames["payment"].row(0, named=True)
    assert (payment["status"], payment["reason"], payment["amount"]) == ("returned", "AC04", Decimal("20.0000"))


def test_a_break_in_the_chain_is_a_verdict_of_its_own() -> None:
    """An opening balance that does not follow the last closing balance lands, and says so."""
    last = {IBAN: {"closing": "90.00", "date": "2026-02-27", "statement": "S-0"}}
    result = read(document(entry("60.50")), last)
    totals = {total.verdict: total for total in result.control_totals}
    assert totals["balances"].agree
    assert not totals["chains"].agree
    assert (totals["chains"].declared_amount, totals["chains"].computed_amount) == (Decimal("90.00"), Decimal("100.00"))
    told = result.rejects.row(0, named=True)
    assert (told["cause"], told["amount"], told["ordinal"]) == ("balance_chain", Decimal("10.0000"), result.records - 1)
    assert json.loads(told["evidence"])["last"]["statement"] == "S-0"
    assert result.frames["bank_transaction"].height == 1


def test_an_older_statement_does_not_move_the_chain_back() -> None:
    """A late file follows nothing and is followed by nothing."""
    chain = followed({IBAN: {"closing": "1", "date": "2026-03-09", "statement": "S-9"}}, document(entry("60.50")), OWNERS)
    assert chain[IBAN]["date"] == "2026-03-09"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "file_unreadable"),
        (b"\x00\x01\x02", "file_unreadable"),
        (document(entry("60.50"))[:-40], "file_unreadable"),
        (b"<Document><BkToCstmrStmt/></Document>", "file_unreadable"),
        (document(entry("60.50"), head='<!DOCTYPE Document [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "file_unreadable"),
        (document(entry("60,50")), "bad_amount"),
        (document(entry("NaN")), "bad_amount"),
        (document(entry("60.50000001")), "bad_amount"),
        (document(entry("60.50", "SIDEWAYS")), "bad_value"),
        (document(entry("60.50").replace("2026-03-02", "2026-02-30")), "bad_date"),
        (document(entry("60.50"), created="soon"), "bad_time"),
        (document(entry("60.50"), created="2026-03-29T02:30:00"), "bad_time"),
    ],
)
def test_what_cannot_be_believed_refuses_the_whole_file(body: bytes, cause: str) -> None:
    """Nothing of a file lands when a part of it can't be read; the cause is named."""
    with pytest.raises(DataError) as refused:
        read(body)
    assert refused.value.cause == cause


def test_a_stamp_without_offset_counts_in_the_zone_of_the_accounts_owner() -> None:
    """A naive local time is placed explicitly, never taken for UTC."""
    frame = read(document(entry("60.50"), created="2026-07-01T12:00:00")).frames["bank_transaction"]
    assert frame["changed_at"][0] == datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


def test_a_stamp_without_offset_and_without_a_zone_is_refused() -> None:
    """Where nobody names a zone, nobody guesses one."""
    with pytest.raises(DataError, match="set `zone`"):
        mapped(document(entry("60.50"), created="2026-07-01T12:00:00"), Owners("bank", "EMEA", {}, [], None), {})


def test_a_batch_gives_one_transaction_and_its_payments() -> None:
    """Several TxDtls with amounts are one bank line and several payments that add up to it."""
    parts = "".join(
        f'<TxDtls><Refs><EndToEndId>E{n}</EndToEndId></Refs><Amt Ccy="EUR">{amount}</Amt></TxDtls>'
        for n, amount in enumerate(("40.25", "20.25"))
    )
    batch = (
        '<Ntry><Amt Ccy="EUR">60.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-03-02</Dt></BookgDt>'
        f"<NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>{parts}</NtryDtls></Ntry>"
    )
    frames = read(document(batch)).frames
    assert frames["bank_transaction"].height == 1
    assert frames["payment"]["amount"].to_list() == [Decimal("40.2500"), Decimal("20.2500")]
    assert frames["payment"]["source_key"].n_unique() == 2


def test_the_chain_travels_with_the_page_as_json() -> None:
    """What the next statement must follow is plain JSON, so that a replay sees what the first reading saw."""
    chain = followed({}, document(entry("60.50")), OWNERS)
    assert json.loads(json.dumps(chain))[IBAN]["closing"] == "160.50"
