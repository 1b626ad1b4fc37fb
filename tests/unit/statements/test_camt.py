"""camt.052, 053 and 054 of every version: what lands, to the cent and to the reference, and what refuses a file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sync.errors import DataError
from sync.statements import Owners, Schemas, followed, mapped
from tests.unit.statements.camt_files import IBAN, OWNERS, Camt, read, rows

OLD, NEW = Camt("053", 2), Camt("053", 8)


@pytest.mark.parametrize("version", range(1, 15))
@pytest.mark.parametrize("message", ["052", "053", "054"])
def test_every_version_says_the_same(message: str, version: int) -> None:
    """Each of 42 files is valid by its own XSD, and all of them give the same entry and the same payment."""
    camt = Camt(message, version)
    found = read(camt.document(camt.entry()), schemas=Schemas())
    assert [total.subject for total in found.control_totals if total.verdict == "schema"] == [f"camt.{message}.001.{version:02d}: valid"]
    [line] = rows(found, "bank_transaction")
    assert (line["amount"], line["currency"], line["counterparty_name"]) == (Decimal("60.5000"), "EUR", "ACME")
    assert (line["counterparty_account"], line["structured_reference"]) == ("GB29NWBK60161331926819", "RF18")
    assert (line["end_to_end_id"], line["bank_code"], line["entry_reference"]) == ("E2E-1", "PMNT/RCDT/ESCT", "R1")
    assert (line["booking_date"], line["value_date"]) == (date(2026, 3, 2), date(2026, 3, 2))
    assert line["changed_at"] == datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    [payment] = rows(found, "payment")
    assert (payment["amount"], payment["status"], payment["reference"]) == (Decimal("60.5000"), "settled", "RF18")
    assert len(rows(found, "bank_balance")) == (2 if message == "053" else 0)


def test_a_report_a_notification_and_the_statement_tell_of_one_entry() -> None:
    """The entry of the day's report, of the notification and of the closed statement is one record: nothing counts three times."""
    keys = set()
    for camt in (Camt("052", 8), Camt("054", 4), OLD):
        for reference in ("R1", ""):
            found = read(camt.document(camt.entry(reference=reference)))
            keys |= {
                (row["source_key"], payment["source_key"]) for row, payment in zip(rows(found, "bank_transaction"), rows(found, "payment"))
            }
    assert len(keys) == 2
    assert {str(key).split("|")[1:3] == ["2026-03-02", "C"] for key, _ in keys} == {True}


@pytest.mark.parametrize("namespace", [True, False])
def test_a_namespace_is_not_needed(namespace: bool) -> None:
    """Without a namespace, or with another company's, it is the same document."""
    body = OLD.document(OLD.entry(), namespace=namespace)
    prefixed = body.replace(b"<", b"<x:").replace(b"<x:/", b"</x:").replace(b"<x:?", b"<?").replace(b"xmlns=", b"xmlns:x=")
    for each in (body, prefixed if namespace else body, body.replace(b"camt.053.001.02", b"bank.special.v9")):
        assert rows(read(each), "bank_transaction")[0]["amount"] == Decimal("60.5000")


def test_charges_are_never_the_amount() -> None:
    """Neither an entry's charges nor a transaction's are taken for what was paid, wherever they stand."""
    charges = '<Chrgs><TtlChrgsAndTaxAmt Ccy="EUR">3.10</TtlChrgsAndTaxAmt><Rcrd><Amt Ccy="EUR">0</Amt></Rcrd></Chrgs>'
    inner = NEW.transaction(amount=NEW.part("60.50"))
    inner = inner.replace("<RltdPties>", f"{charges}<RltdPties>")
    found = read(NEW.document(NEW.entry(charges=charges, details=inner)))
    assert [row["amount"] for row in rows(found, "bank_transaction") + rows(found, "payment")] == [Decimal("60.5000")] * 2


def test_a_batch_is_one_line_and_its_payments() -> None:
    """Several TxDtls are one bank line, whose own amount counts, and one payment each, where they add up to it."""
    parts = [NEW.transaction(end_to_end=f"E{n}", amount=NEW.part(amount)) for n, amount in enumerate(("40.25", "20.25"))]
    batch = f"<Btch><NbOfTxs>2</NbOfTxs></Btch>{''.join(parts)}"
    found = read(NEW.document(NEW.entry(details=batch)))
    assert [row["amount"] for row in rows(found, "bank_transaction")] == [Decimal("60.5000")]
    assert [(row["amount"], row["end_to_end_id"]) for row in rows(found, "payment")] == [
        (Decimal("40.2500"), "E0"),
        (Decimal("20.2500"), "E1"),
    ]
    assert len({row["source_key"] for row in rows(found, "payment")}) == 2
    short = NEW.entry(details=batch.replace("20.25", "20.24"))
    assert [row["amount"] for row in rows(read(NEW.document(short)), "payment")] == [Decimal("60.5000")]
    foreign = NEW.entry(details=batch.replace('<Amt Ccy="EUR">20.25', '<Amt Ccy="USD">20.25'))
    assert [row["amount"] for row in rows(read(NEW.document(foreign)), "payment")] == [Decimal("60.5000")]


def test_a_return_keeps_its_reason_and_a_reversal_its_direction() -> None:
    """RtrInf makes the payment returned; RvslInd is told, and CdtDbtInd already says where the money went."""
    back = OLD.entry("20.00", "DBIT", details=OLD.transaction(more="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"))
    found = read(OLD.document(back, closing="80.00"))
    [payment] = rows(found, "payment")
    assert (payment["status"], payment["reason"], payment["amount"]) == ("returned", "AC04", Decimal("20.0000"))
    reversed_ = read(OLD.document(OLD.entry("20.00", "DBIT", reversal=True), closing="80.00"))
    [line] = rows(reversed_, "bank_transaction")
    assert (line["amount"], line["is_reversal"]) == (Decimal("-20.0000"), True)
    assert rows(reversed_, "payment") == []
    both = OLD.entry("20.00", "DBIT", reversal=True, details=OLD.transaction(more="<RtrInf><Rsn><Prtry>NOFUNDS</Prtry></Rsn></RtrInf>"))
    assert [row["reason"] for row in rows(read(OLD.document(both, closing="80.00")), "payment")] == ["NOFUNDS"]


def test_remittance_is_what_the_payer_wrote() -> None:
    """Ustrd lines are joined; a structured reference stands apart; without either the named documents are kept."""
    free = OLD.transaction(remittance="<Ustrd>Invoice 4711</Ustrd><Ustrd>and 4712</Ustrd>")
    [line] = rows(read(OLD.document(OLD.entry(details=free))), "bank_transaction")
    assert (line["remittance"], line["structured_reference"]) == ("Invoice 4711 and 4712", None)
    named = OLD.transaction(remittance="<Strd><RfrdDocInf><Nb>90001</Nb></RfrdDocInf></Strd>")
    assert rows(read(OLD.document(OLD.entry(details=named))), "bank_transaction")[0]["remittance"] == "90001"


@pytest.mark.parametrize("day", ["<Dt>2026-03-02</Dt>", "<DtTm>2026-03-02T23:59:59Z</DtTm>", "<DtTm>2026-03-02T00:30:00+14:00</DtTm>"])
def test_a_booking_date_is_never_shifted(day: str) -> None:
    """A date is a date, also where it is given with a time and a zone."""
    assert rows(read(OLD.document(OLD.entry(day=day))), "bank_transaction")[0]["booking_date"] == date(2026, 3, 2)


@pytest.mark.parametrize(("camt", "status"), [(OLD, "PDNG"), (NEW, "PDNG"), (OLD, "INFO")])
def test_only_booked_entries_count(camt: Camt, status: str) -> None:
    """An entry that is not booked moves no balance and lands nowhere; it is told that it is there."""
    found = read(camt.document(camt.entry() + camt.entry("999.00", status=status, reference="R2")))
    assert [row["amount"] for row in rows(found, "bank_transaction")] == [Decimal("60.5000")]
    assert [total.subject for total in found.control_totals if total.verdict == "pending"] == [f"{IBAN} S-1: 1 entries not booked yet"]


def test_an_account_without_iban_has_the_banks_own_number() -> None:
    """Othr/Id is the account; the IBAN stays empty."""
    own = "<Id><Othr><Id>0532013000</Id></Othr></Id><Ccy>EUR</Ccy><Svcr><FinInstnId><BICFI>COBADEFFXXX</BICFI></FinInstnId></Svcr>"
    [account] = rows(read(NEW.document(NEW.entry(), account=own)), "bank_account")
    assert (account["source_key"], account["iban"], account["other_id"], account["bank"]) == (
        "0532013000",
        None,
        "0532013000",
        "COBADEFFXXX",
    )


def test_a_statement_without_entries_lands_its_balances() -> None:
    """Nothing happened that day, and that is told."""
    found = read(OLD.document(opening="100.00", closing="100.00"))
    assert [(row["balance_type"], row["amount"]) for row in rows(found, "bank_balance")] == [
        ("opening_booked", Decimal("100.0000")), ("closing_booked", Decimal("100.0000")),
    ]  # fmt: skip
    assert rows(found, "bank_transaction") == []


def test_an_entry_in_another_currency_counts_by_its_counter_value() -> None:
    """A yen entry on a euro account lands in yen; the balance is held by what the bank says it is in euro."""
    worth = '<AmtDtls><CntrValAmt><Amt Ccy="EUR">60.50</Amt></CntrValAmt></AmtDtls>'
    found = read(OLD.document(OLD.entry("9800", currency="JPY", amounts=worth, details=OLD.transaction())))
    [line] = rows(found, "bank_transaction")
    assert (line["amount"], line["currency"]) == (Decimal("9800.0000"), "JPY")
    with pytest.raises(DataError) as refused:
        read(OLD.document(OLD.entry("9800", currency="JPY", details=OLD.transaction())))
    assert (refused.value.cause, refused.value.evidence["off_by"]) == ("balance_mismatch", "60.50")
    assert refused.value.evidence["entries_in_other_currencies_without_counter_value"] == 1


def test_a_counter_value_is_the_one_in_the_accounts_currency() -> None:
    """Whatever other amounts the bank gives beside it, and in whichever order."""
    worth = (
        '<AmtDtls><InstdAmt><Amt Ccy="EUR">60.50</Amt></InstdAmt><TxAmt><Amt Ccy="JPY">9800</Amt></TxAmt>'
        '<CntrValAmt><Amt Ccy="USD">66.00</Amt></CntrValAmt></AmtDtls>'
    )
    found = read(OLD.document(OLD.entry("9800", currency="JPY", amounts=worth, details=OLD.transaction())))
    assert [total.agree for total in found.control_totals if total.verdict == "balances"] == [True]


def test_what_stands_in_a_banks_own_envelope_is_none_of_the_messages() -> None:
    """Supplementary data may hold anything, elements that are called as ours are too."""
    own = (
        "<SplmtryData><Envlp><Own><GrpHdr><CreDtTm>1999-01-01T00:00:00Z</CreDtTm></GrpHdr><TxDtls><RmtInf><Ustrd>X</Ustrd></RmtInf></TxDtls>"
        '<Stmt><Ntry><Amt Ccy="EUR">9</Amt><NtryDtls><TxDtls/></NtryDtls></Ntry></Stmt></Own></Envlp></SplmtryData>'
    )
    plain = NEW.document(NEW.entry())
    for place in (b"</TxDtls>", b"</Stmt>", b"<Stmt>", b"</BkToCstmrStmt>"):
        before = place.startswith(b"<S")
        body = plain.replace(place, own.encode() + place if before or place != b"<Stmt>" else place)
        assert rows(read(body), "bank_transaction") == rows(read(plain), "bank_transaction")


def test_a_statement_within_a_statement_is_refused() -> None:
    """It is no statement that any bank sends, and nobody knows whose its entries are."""
    with pytest.raises(DataError):
        read(OLD.document(OLD.entry() + "<Stmt><Id>2</Id>" + OLD.entry() + "</Stmt>"))


@pytest.mark.parametrize(
    "double", ['<Amt Ccy="EUR">1.00</Amt>', "<CdtDbtInd>DBIT</CdtDbtInd>", "<Sts>PDNG</Sts>", "<ValDt><Dt>2020-01-01</Dt></ValDt>"]
)
def test_an_entry_that_contradicts_itself_is_refused(double: str) -> None:
    """What can be only one and is said twice, each time otherwise: no reader may choose. Said twice alike it is said once."""
    body = NEW.document(NEW.entry())
    with pytest.raises(DataError) as refused:
        read(body.replace(b"<Ntry>", b"<Ntry>" + double.encode()))
    assert refused.value.cause == "bad_value"
    assert rows(read(body.replace(b"<Ntry>", b"<Ntry><CdtDbtInd>CRDT</CdtDbtInd>")), "bank_transaction")


def test_a_debit_of_nothing_is_a_debit() -> None:
    """A fee of 0.00 counts among the debits, where the summary is the only proof."""
    summary = "<TxsSummry><TtlCdtNtries><NbOfNtries>1</NbOfNtries></TtlCdtNtries><TtlDbtNtries><NbOfNtries>1</NbOfNtries></TtlDbtNtries></TxsSummry>"
    camt = Camt("054", 8)
    found = read(camt.document(summary + camt.entry() + camt.entry("0.00", "DBIT", reference="R2", details="")))
    assert [total.agree for total in found.control_totals if total.verdict == "totals"] == [True, True]


def test_a_statement_in_two_currencies_balances_in_each() -> None:
    """Each pair of balances is held by the entries of its own currency, and each balance lands."""
    told = "".join(
        OLD.balance(code, amount, currency)
        for code, amount, currency in (("OPBD", "100.00", "EUR"), ("CLBD", "160.50", "EUR"), ("OPBD", "7", "JPY"), ("CLBD", "12", "JPY"))
    )
    entries = OLD.entry() + OLD.entry("5", currency="JPY", reference="R2", details=OLD.transaction())
    found = read(OLD.document(entries, balances=told))
    assert [(t.currency, t.computed_amount) for t in found.control_totals if t.verdict == "balances"] == [
        ("EUR", Decimal("160.5")),
        ("JPY", 12),
    ]
    assert len({row["source_key"] for row in rows(found, "bank_balance")}) == 4
    with pytest.raises(DataError) as refused:
        read(OLD.document(entries, balances=told.replace(">12<", ">13<")))
    assert (refused.value.evidence["currency"], refused.value.evidence["off_by"]) == ("JPY", "1")


def test_a_report_within_the_day_has_an_intraday_balance() -> None:
    """ITBD is the intraday balance; a report neither balances nor chains."""
    camt = Camt("052", 8)
    found = read(camt.document(camt.entry(), balances=camt.balance("OPBD", "100.00") + camt.balance("ITBD", "999.00")))
    assert {row["balance_type"] for row in rows(found, "bank_balance")} == {"opening_booked", "intraday"}
    assert {total.verdict for total in found.control_totals} == {"parses"}
    assert followed({}, camt.document(camt.entry()), OWNERS) == {}


def test_a_statement_that_does_not_balance_refuses_its_file_with_all_verdicts() -> None:
    """The evidence says which statement, which sum, by how much, and that the file's other statement was well."""
    good, bad = OLD.document(OLD.entry(), identifier="S-1"), OLD.document(OLD.entry("60.49"), identifier="S-2")
    inner = bad.partition(b"<Stmt>")[2].partition(b"</Stmt>")[0]
    with pytest.raises(DataError) as refused:
        read(good.replace(b"</Stmt>", b"</Stmt><Stmt>" + inner + b"</Stmt>"))
    evidence = refused.value.evidence
    assert refused.value.cause == "balance_mismatch"
    assert {name: evidence[name] for name in ("statement", "opening", "booked", "computed", "declared", "off_by")} == {
        "statement": "S-2", "opening": "100.00", "booked": "60.49", "computed": "160.49", "declared": "160.50", "off_by": "0.01",
    }  # fmt: skip
    verdicts = evidence["verdicts"]
    assert isinstance(verdicts, list)
    assert [(one["subject"], one["agree"]) for one in verdicts if one["verdict"] == "balances"] == [
        (f"{IBAN} S-2", False),
        (f"{IBAN} S-1", True),
    ]
    json.dumps(evidence)


def test_a_break_in_the_chain_lands_and_is_told() -> None:
    """An opening balance that does not follow the last closing balance is a verdict, and an exception of its own."""
    last = {IBAN: {"closing": "90.00", "date": "2026-02-27", "statement": "S-0"}}
    found = read(OLD.document(OLD.entry()), last)
    totals = {total.verdict: total for total in found.control_totals}
    assert totals["balances"].agree
    assert (totals["chains"].agree, totals["chains"].declared_amount, totals["chains"].computed_amount) == (
        False,
        Decimal(90),
        Decimal(100),
    )
    told = found.rejects.row(0, named=True)
    assert (told["cause"], told["amount"], told["ordinal"]) == ("balance_chain", Decimal("10.0000"), found.records - 1)
    assert json.loads(told["evidence"])["off_by"] == "10.00"
    assert len(rows(found, "bank_transaction")) == 1


def test_a_missing_number_is_told_also_where_the_balances_follow() -> None:
    """Statement 7 after statement 5: a statement that moved nothing, or moved it back, is missing. A new year counts anew."""
    chain = followed({}, OLD.document(OLD.entry(), sequence="5"), OWNERS)
    assert chain == {IBAN: {"closing": "160.50", "date": "2026-03-02", "statement": "S-1", "sequence": "5"}}
    for sequence, agree in (("6", True), ("7", False), ("1", True)):
        following = OLD.document(opening="160.50", closing="160.50", day="2026-03-03", identifier="S-2", sequence=sequence)
        found = mapped(following, OWNERS, chain)
        assert {t.verdict: t.agree for t in found.control_totals if t.verdict in ("chains", "sequence")} == {
            "chains": True,
            "sequence": agree,
        }
        assert found.rejects.height == (not agree)


def test_statements_of_one_file_follow_each_other() -> None:
    """Two days in one file are chained within it, in whatever order they stand."""
    first = OLD.document(OLD.entry(), identifier="S-1")
    second = OLD.document(opening="160.50", closing="160.50", day="2026-03-03", identifier="S-2")
    inner = first.partition(b"<Stmt>")[2].partition(b"</Stmt>")[0]
    body = second.replace(b"</Stmt>", b"</Stmt><Stmt>" + inner + b"</Stmt>")
    assert [total.agree for total in read(body).control_totals if total.verdict == "chains"] == [True]
    assert followed({}, body, OWNERS)[IBAN]["statement"] == "S-2"


def test_an_older_or_a_repeated_statement_follows_nothing() -> None:
    """A late file is followed by nothing, and the same statement again is no break."""
    newer = {IBAN: {"closing": "1", "date": "2026-03-09", "statement": "S-9"}}
    assert followed(newer, OLD.document(OLD.entry()), OWNERS) == newer
    own = followed({}, OLD.document(OLD.entry()), OWNERS)
    assert [t.verdict for t in read(OLD.document(OLD.entry()), {IBAN: dict(own[IBAN])}).control_totals if t.verdict != "span"] == [
        "parses", "balances",
    ]  # fmt: skip
    assert followed(own, OLD.document(OLD.entry("60.49")), OWNERS) == own


def test_alike_entries_are_two_and_a_statement_that_came_twice_is_one() -> None:
    """Two fees of the same day, amount and text are two records; the same statement twice in a file is one."""
    fees = OLD.entry("5.00", "DBIT", reference="", details="") * 2
    first = OLD.document(fees, opening="100.00", closing="90.00")
    keys = [row["source_key"] for row in rows(read(first), "bank_transaction")]
    assert len(set(keys)) == 2
    inner = first.partition(b"<Stmt>")[2].partition(b"</Stmt>")[0]
    twice = rows(read(first.replace(b"</Stmt>", b"</Stmt><Stmt>" + inner + b"</Stmt>")), "bank_transaction")
    assert {row["source_key"] for row in twice} == set(keys)
    other = OLD.document(fees, opening="90.00", closing="80.00", identifier="S-2")
    inner = other.partition(b"<Stmt>")[2].partition(b"</Stmt>")[0]
    four = rows(read(first.replace(b"</Stmt>", b"</Stmt><Stmt>" + inner + b"</Stmt>")), "bank_transaction")
    assert len({row["source_key"] for row in four}) == 4


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "file_unreadable"),
        (b"\x00\x01\x02", "file_unreadable"),
        (OLD.document(OLD.entry())[:-40], "file_unreadable"),
        (b"<Document><BkToCstmrStmt/></Document>", "file_unreadable"),
        (b"<html><body>Please sign in</body></html>", "file_unreadable"),
        (OLD.document(OLD.entry()).replace(b"<Document", b"<p:Document").replace(b"<GrpHdr", b"<p:GrpHdr"), "file_unreadable"),
        (OLD.document(OLD.entry()) + OLD.document(OLD.entry()), "file_unreadable"),
        (OLD.document(OLD.entry(), head='<!DOCTYPE Document [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "file_unreadable"),
        (OLD.document(OLD.entry(), head="<!-- <x> --><?pi <!x ?><!doctype Document []>"), "file_unreadable"),
        (OLD.document(OLD.entry().replace("ACME", "A\x00CME")), "file_unreadable"),
        (OLD.document(OLD.entry().replace("ACME", "&bank;")), "file_unreadable"),
        (OLD.document(OLD.entry("60,50")), "bad_amount"),
        (OLD.document(OLD.entry("NaN")), "bad_amount"),
        (OLD.document(OLD.entry("-60.50")), "bad_amount"),
        (OLD.document(OLD.entry("6.05E1")), "bad_amount"),
        (OLD.document(OLD.entry("60.50000001")), "bad_amount"),
        (OLD.document(OLD.entry("60.505"), closing="160.505"), "bad_amount"),
        (OLD.document(OLD.entry("60.5", currency="JPY") + OLD.entry(reference="R2")), "bad_currency"),
        (OLD.document(OLD.entry(currency="XXQ") + OLD.entry(reference="R2")), "bad_currency"),
        (OLD.document(OLD.entry(), currency="XXQ"), "bad_currency"),
        (OLD.document(OLD.entry("60.50", "SIDEWAYS")), "bad_value"),
        (OLD.document(OLD.entry(), account="<Ccy>EUR</Ccy>"), "bad_value"),
        (OLD.document(OLD.entry(day="<Dt>2026-02-30</Dt>")), "bad_date"),
        (OLD.document(OLD.entry(), day="2026-02-30"), "bad_date"),
        (OLD.document(OLD.entry(), created="soon"), "bad_time"),
        (OLD.document(OLD.entry(), created="2026-03-29T02:30:00"), "bad_time"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_refuses_the_whole_file(body: bytes, cause: str) -> None:
    """Nothing of a file lands when a part of it can't be read; the cause is named, and the evidence is JSON."""
    with pytest.raises(DataError) as refused:
        read(body)
    assert refused.value.cause == cause
    assert json.loads(json.dumps(refused.value.evidence))


def test_a_billion_laughs_are_not_laughed() -> None:
    """Entities that would grow to gigabytes are refused before a parser sees them, in any encoding."""
    laughs = (
        "<!DOCTYPE lolz [<!ENTITY lol 'lol'>" + "".join(f"<!ENTITY lol{n} '{f'&lol{n - 1 or str()};' * 10}'>" for n in range(1, 10)) + "]>"
    )
    text = OLD.document(OLD.entry().replace("ACME", "&lol9;"), head=laughs).decode()
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(DataError, match="DOCTYPE"):
            read(text.replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding))


@pytest.mark.parametrize("named", ["utf-16", "UTF-16LE", "us-ascii"])
def test_an_encoding_that_the_bytes_show_to_be_wrong_is_not_believed(named: str) -> None:
    """What a program wrote as a text of 16 bits and saved in 8 is UTF-8, whatever its first line says; a mark may stand before blank lines."""
    text = OLD.document(OLD.entry().replace("ACME", "Müller")).decode().replace("UTF-8", named)
    for body in (text.encode(), b"\xef\xbb\xbf\r\n" + text.encode()):
        assert rows(read(body), "bank_transaction")[0]["counterparty_name"] == "Müller"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_every_encoding_that_the_file_names_is_read(encoding: str) -> None:
    """Names keep their letters, with a byte order mark or without."""
    text = OLD.document(OLD.entry().replace("ACME", "Müller & Söhne".replace("&", "&amp;"))).decode()
    body = text.replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding)
    assert rows(read(body), "bank_transaction")[0]["counterparty_name"] == "Müller & Söhne"


def test_a_file_that_is_not_what_it_says_is_read_as_windows_writes_and_says_so() -> None:
    """UTF-8 by its word, Windows-1252 by its bytes: the names are right, and a verdict tells how it was read."""
    found = read(OLD.document(OLD.entry().replace("ACME", "Müller")).decode().encode("cp1252"))
    assert rows(found, "bank_transaction")[0]["counterparty_name"] == "Müller"
    assert [total.subject for total in found.control_totals if total.verdict == "encoding"] == [
        "the file says UTF-8; it was read as Windows-1252"
    ]


def test_a_file_that_its_schema_refuses_lands_with_a_warning(tmp_path: Path) -> None:
    """Real banks' files are often invalid and right: the schema is a warning, and where there is none, that is said."""
    body = OLD.document(OLD.entry().replace("<AcctSvcrRef>", "<Special>x</Special><AcctSvcrRef>"))
    [told] = [t for t in read(body, schemas=Schemas()).control_totals if t.verdict == "schema"]
    assert told.agree
    assert "warning" in told.subject
    assert "Special" in told.subject
    [told] = [t for t in read(body, schemas=Schemas(tmp_path)).control_totals if t.verdict == "schema"]
    assert "not checked" in told.subject


def test_a_stamp_without_offset_counts_in_the_zone_of_the_accounts_owner() -> None:
    """A naive local time is placed explicitly, never taken for UTC; where nobody names a zone, nobody guesses one."""
    body = OLD.document(OLD.entry(), created="2026-07-01T12:00:00")
    assert rows(read(body), "bank_transaction")[0]["changed_at"] == datetime(2026, 7, 1, 10, 0, tzinfo=UTC)
    with pytest.raises(DataError, match="set `zone`"):
        mapped(body, Owners("bank", "EMEA", {}, [], None), {})
