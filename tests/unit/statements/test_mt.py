"""MT940 and MT942: what lands, to the cent and to the reference, whatever the bank's habits, and what refuses a file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sync.errors import DataError
from sync.statements import followed, mapped
from sync.statements.mt_details import details
from sync.statements.mt_fields import account_of
from tests.unit.statements.camt_files import IBAN, OWNERS, read, rows

ENVELOPE = "{1:F01COBADEFFXXXX0000000000}{2:O9401200260302COBADEFFXXXX00000000002603021200N}{3:{108:MT940}}{4:"


def message(
    *lines: str, reference: str = "STARTUMS", account: str = IBAN, number: str = "00012/001", opening: str = ":60F:C260301EUR100,00",
    closing: str = ":62F:C260302EUR160,50", end: str = "-",
) -> str:  # fmt: skip
    """A message with these lines between its balances."""
    return "\r\n".join((f":20:{reference}", f":25:{account}", f":28C:{number}", opening, *lines, closing, end)) + "\r\n"


LINE = (":61:2603020302CR60,50NTRFNONREF//BANKREF1", ":86:166?00GUTSCHRIFT?20EREF+E2E-1?21SVWZ+Rechnung 4711 un?22d 4712?30COBADEFFXXX",
        "?31GB29NWBK60161331926819?32ACME Ltd?33 & Co")  # fmt: skip


def test_a_statement_lands_with_all_that_it_says() -> None:
    """Signed amounts, dates, the bank's reference, and of :86: the payer, his account, what for, and his own reference."""
    found = read(message(*LINE).encode())
    [line] = rows(found, "bank_transaction")
    assert (line["amount"], line["currency"], line["booking_date"], line["value_date"]) == (
        Decimal("60.5"),
        "EUR",
        date(2026, 3, 2),
        date(2026, 3, 2),
    )
    assert (line["counterparty_name"], line["counterparty_account"]) == ("ACME Ltd & Co", "GB29NWBK60161331926819")
    assert (line["remittance"], line["end_to_end_id"], line["entry_reference"]) == ("Rechnung 4711 und 4712", "E2E-1", "BANKREF1")
    assert (line["statement_id"], line["bank_code"], line["account"]) == ("STARTUMS 00012/001", "NTRF/166", IBAN)
    assert line["changed_at"] == datetime(2026, 3, 2, 23, 0, tzinfo=UTC), (
        "a format of days is stamped with the end of its day, in the owner's zone"
    )
    [payment] = rows(found, "payment")
    assert (payment["amount"], payment["reference"], payment["end_to_end_id"]) == (Decimal("60.5"), "Rechnung 4711 und 4712", "E2E-1")
    assert [(row["balance_type"], row["as_of_date"]) for row in rows(found, "bank_balance")] == [
        ("opening_booked", date(2026, 3, 1)), ("closing_booked", date(2026, 3, 2)),
    ]  # fmt: skip
    assert followed({}, message(*LINE).encode(), OWNERS)[IBAN] == {
        "closing": "160.50", "date": "2026-03-02", "statement": "STARTUMS 00012/001", "sequence": "12",
    }  # fmt: skip


@pytest.mark.parametrize("ends", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
def test_line_ends_and_encodings_make_no_difference(ends: str, encoding: str) -> None:
    """CRLF, LF or CR; UTF-8, Windows' or 16 bits: the same facts, and the letters stay."""
    text = message(*LINE).replace("ACME", "Müller").replace("\r\n", ends)
    [line] = rows(read(text.encode(encoding)), "bank_transaction")
    assert (line["amount"], line["counterparty_name"]) == (Decimal("60.5"), "Müller Ltd & Co")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: ENVELOPE + "\r\n" + text.rstrip("\r\n").removesuffix("-") + "-}{5:{CHK:123456789ABC}{TNG:}}\r\n",
        lambda text: ENVELOPE + text.rstrip("\r\n").removesuffix("-") + "-}\r\n",
        lambda text: ENVELOPE.replace("}{", "}\r\n{") + "\r\n" + text,
        lambda text: "\x01" + ENVELOPE + "\r\n" + text.rstrip("\r\n").removesuffix("-") + "-}\x03",
        lambda text: "ABNANL2A\r\n940\r\nABNANL2A\r\n" + text,
        lambda text: "0000 01INGBNL2AXXXX00001\r\n940 00\r\n" + text.replace("\r\n-\r\n", "\r\n-XXX\r\n"),
        lambda text: ":940:\r\n" + text.removesuffix("-\r\n"),
        lambda text: "\r\n\r\n" + text + "\x1a",
        lambda text: "\x01\r\n" + text.replace("\r\n-\r\n", "\r\n-\x03\r\n"),
    ],
)
def test_envelopes_around_one_or_several_messages_are_taken_off(wrap: object) -> None:
    """SWIFT's blocks, and the headers that single banks put in their place."""
    assert callable(wrap)
    second = message(*LINE, number="00013/001", opening=":60F:C260302EUR160,50", closing=":62F:C260303EUR221,00")
    assert len(rows(read(wrap(message(*LINE)).encode()), "bank_transaction")) == 1
    found = read((wrap(message(*LINE)) + wrap(second)).encode())
    assert {total.verdict: total.agree for total in found.control_totals} == {
        "parses": True, "balances": True, "chains": True, "sequence": True, "span": True,
    }  # fmt: skip
    assert len(rows(found, "bank_account")) == 2


def test_pages_are_one_statement() -> None:
    """:62M: and the next message's :60M: are where two pages meet; the statement's balances are the first and the last."""
    first = message(*LINE, closing=":62M:C260302EUR160,5")
    second = message(":61:2603020302D10,NCHGNONREF", number="00012/002", opening=":60M:C260302EUR160,50", closing=":62F:C260302EUR150,50")
    found = read((first + second).encode())
    assert [(row["balance_type"], row["amount"]) for row in rows(found, "bank_balance")] == [
        ("opening_booked", Decimal(100)), ("closing_booked", Decimal("150.5")),
    ]  # fmt: skip
    assert len(rows(found, "bank_account")) == 1
    assert [row["amount"] for row in rows(found, "bank_transaction")] == [Decimal("60.5"), Decimal(-10)]
    assert [total.agree for total in found.control_totals if total.verdict == "balances"] == [True]
    with pytest.raises(DataError) as refused:
        read((first + second.replace("D10,", "D11,")).encode())
    assert refused.value.evidence["off_by"] == "1.00"


def test_pages_in_files_of_their_own_chain() -> None:
    """Each page balances by itself, the second follows the first, and a page is no closing balance."""
    first = message(*LINE, closing=":62M:C260302EUR160,50")
    second = message(number="00012/002", opening=":60M:C260302EUR160,50", closing=":62F:C260302EUR160,50")
    assert [row["balance_type"] for row in rows(read(first.encode()), "bank_balance")] == ["opening_booked"]
    chain = {account: dict(last) for account, last in followed({}, first.encode(), OWNERS).items()}
    assert [total.agree for total in read(second.encode(), chain).control_totals if total.verdict == "chains"] == [True]
    assert read(second.replace("160,50", "160,51").encode(), chain).rejects["cause"].to_list() == ["balance_chain"]


@pytest.mark.parametrize(
    ("mark", "amount", "reversal"), [("C", 10, False), ("D", -10, False), ("RC", -10, True), ("RD", 10, True), ("CR", 10, False), ("DR", -10, False),
                                     ("RCR", -10, True), ("RDR", 10, True)]
)  # fmt: skip
def test_marks_and_funds_codes(mark: str, amount: int, reversal: bool) -> None:
    """RC takes money back and RD gives it; CR is a credit with the third letter of EUR behind it."""
    text = message(f":61:260302{mark}10,00NMSCNONREF", closing=f":62F:C260302EUR{100 + amount},00")
    [line] = rows(read(text.encode()), "bank_transaction")
    assert (line["amount"], line["is_reversal"]) == (Decimal(amount), reversal)


@pytest.mark.parametrize(("text", "amount"), [("60,5", "60.5"), ("60,", "60"), (",5", "0.5"), ("000060,50", "60.5"), ("60", "60")])
def test_amounts_with_an_empty_tail(text: str, amount: str) -> None:
    """`60,` is sixty."""
    closing = f"{Decimal(100) + Decimal(amount)}".replace(".", ",")
    found = read(message(f":61:260302C{text}NMSCNONREF", closing=f":62F:C260302EUR{closing}").encode())
    assert rows(found, "bank_transaction")[0]["amount"] == Decimal(amount)


def test_booking_dates_find_their_year() -> None:
    """A value date on 31 December booked on 2 January belongs to the next year, and the other way round."""
    for value, booked, expected in (
        ("251231", "0102", date(2026, 1, 2)),
        ("260102", "1231", date(2025, 12, 31)),
        ("240229", "0229", date(2024, 2, 29)),
    ):
        [line] = rows(read(message(f":61:{value}{booked}C60,50NMSCNONREF").encode()), "bank_transaction")
        assert line["booking_date"] == expected


def test_a_leap_day_is_booked_in_a_leap_year_only() -> None:
    """The 29 February of a year that has none is refused, and never taken for another year's."""
    for day, booked in (("280301", date(2028, 2, 29)), ("280228", date(2028, 2, 29)), ("270301", None), ("290228", None)):
        body = message(f":61:{day}0229C60,50NTRFNONREF").encode()
        if booked is not None:
            assert rows(read(body), "bank_transaction")[0]["booking_date"] == booked
            continue
        with pytest.raises(DataError) as refused:
            read(body)
        assert refused.value.cause == "bad_date"


def test_a_second_information_adds_to_the_first() -> None:
    """What the first `:86:` of a line said stays, and no word of the second is lost."""
    [line] = rows(read(message(*LINE, ":86:further words").encode()), "bank_transaction")
    assert (line["counterparty_name"], line["remittance"]) == ("ACME Ltd & Co", "Rechnung 4711 und 4712 further words")


def test_a_dash_alone_in_a_text_ends_no_message() -> None:
    """A payer's text was broken before a dash; the closing balance still comes. Where it does not, the message is cut."""
    text = message(":61:2603020302C60,50NTRFNONREF", ":86:/EREF/1/REMI/Periode 01 -", "-")
    assert rows(read(text.encode()), "bank_transaction")[0]["amount"] == Decimal("60.5")
    with pytest.raises(DataError) as refused:
        read((text.partition(":62F:")[0] + "-\r\n" + message(*LINE)).encode())
    assert refused.value.cause == "file_unreadable"


def test_a_report_that_names_no_time_was_made_when_it_came() -> None:
    """An MT942 without `:13D:`; where nobody knows when it came either, it is refused."""
    body = ("\n".join((":20:R", f":25:{IBAN}", ":28C:1/1", ":34F:EUR0,", *LINE, ":90D:0EUR0,", ":90C:1EUR60,50")) + "\n-\n").encode()
    came = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
    assert rows(mapped(body, OWNERS, {}, received=came), "bank_transaction")[0]["changed_at"] == came
    with pytest.raises(DataError) as refused:
        read(body)
    assert refused.value.cause == "bad_time"


def test_null_dates_are_no_dates() -> None:
    """Some banks' programs write `null` where a date should be: the line has no value date and counts for the statement's day."""
    [line] = rows(read(message(":61:nullnullC60,50NMSCNONREF").encode()), "bank_transaction")
    assert (line["value_date"], line["booking_date"]) == (None, date(2026, 3, 2))


def test_a_number_wrapped_in_the_middle_and_a_number_that_is_none() -> None:
    """:28C: over two lines is one number; 0 is what banks write that do not count."""
    assert followed({}, message(*LINE, number="000\r\n12/001").encode(), OWNERS)[IBAN]["sequence"] == "12"
    assert "sequence" not in followed({}, message(*LINE, number="0").encode(), OWNERS)[IBAN]


def test_binary_bytes_in_texts_do_not_matter() -> None:
    """Control characters and zero bytes in a text are blanks; the amounts beside them are read."""
    text = message(*LINE).encode().replace(b"ACME", b"AC\x00\x07\xff\xfeME").replace(b"STARTUMS", b"STAR\x81\x00UMS")
    [line] = rows(read(text), "bank_transaction")
    assert "\x00" not in str(line["counterparty_name"])
    assert line["amount"] == Decimal("60.5")


def test_expected_lines_are_not_booked() -> None:
    """EC and ED are expected, not booked."""
    found = read(message(*LINE, ":61:260302EC999,00NMSCNONREF").encode())
    assert len(rows(found, "bank_transaction")) == 1
    assert [total.verdict for total in found.control_totals] == ["parses", "pending", "balances", "span"]


def test_available_and_forward_balances() -> None:
    """:64: is what is available, each :65: what will be."""
    found = read(
        message(
            *LINE, closing=":62F:C260302EUR160,50\r\n:64:C260302EUR150,00\r\n:65:C260303EUR155,00\r\n:65:D260304EUR1,00\r\n:86:free text"
        ).encode()
    )
    assert [(row["balance_type"], row["amount"]) for row in rows(found, "bank_balance")][2:] == [
        ("available", Decimal(150)), ("forward_available", Decimal(155)), ("forward_available", Decimal(-1)),
    ]  # fmt: skip


MT942 = "\r\n".join((
    ":20:INTRADAY", f":25:{IBAN}", ":28C:00012/001", ":34F:EURD0,00", ":34F:EURC0,00", ":13D:2603021530+0100", *LINE, ":61:260302D10,00NCHGNONREF",
    ":90D:1EUR10,00", ":90C:1EUR60,50", "-", "",
))  # fmt: skip


def test_an_interim_report_has_counts_and_sums_for_control() -> None:
    """MT942: no balance, but :90D: and :90C: say how many and how much; the line is the one that the statement will repeat."""
    found = read(MT942.encode())
    assert [(t.subject.partition(" ")[0], t.declared_count, t.declared_amount) for t in found.control_totals if t.verdict == "totals"] == [
        ("debits", 1, Decimal(10)), ("credits", 1, Decimal("60.5")),
    ]  # fmt: skip
    assert [row["amount"] for row in rows(found, "bank_transaction")] == [Decimal("60.5"), Decimal(-10)]
    assert rows(found, "bank_transaction")[0]["changed_at"] == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert rows(found, "bank_balance") == []
    statement = rows(read(message(*LINE).encode()), "bank_transaction")[0]
    assert statement["source_key"] == rows(found, "bank_transaction")[0]["source_key"]
    assert int(str(statement["source_version"])) > int(str(rows(found, "bank_transaction")[0]["source_version"]))
    for wrong in (MT942.replace(":90D:1EUR10,00", ":90D:2EUR10,00"), MT942.replace(":90C:1EUR60,50", ":90C:1EUR60,51")):
        with pytest.raises(DataError) as refused:
            read(wrong.encode())
        assert refused.value.cause == "control_total"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DE89370400440532013000", (IBAN, IBAN, None)), ("COBADEFFXXX/DE89370400440532013000", (IBAN, IBAN, None)),
        ("DE89370400440532013000EUR", (IBAN, IBAN, "EUR")), ("DE89 3704 0044 0532 0130 00 EUR", (IBAN, IBAN, "EUR")),
        ("37040044/0532013000", ("37040044/0532013000", None, None)), ("1291.99.348EUR", ("1291.99.348", None, "EUR")),
        ("37040044/0532013000EUR", ("37040044/0532013000", None, "EUR")),
    ],
)  # fmt: skip
def test_an_account_is_known_by_its_iban_or_by_the_banks_number(text: str, expected: tuple[str, str | None, str | None]) -> None:
    """With a bank code before it, or a currency behind it."""
    assert account_of(text) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["/EREF/E-1/BENM//NAME/CONTRA ACCOUN", "T HOLDER/REMI//ISDT/2013-07-11"], ("E-1", "CONTRA ACCOUNT HOLDER", None, None)),
        (["/TRTP/SEPA OVERBOEKING/IBAN/NL46ABNA0499998748/BIC/ABNANL2A/NAME/T E STER/REMI/Factuur 4711/EREF/NOTPROVIDED"],
         (None, "T E STER", "NL46ABNA0499998748", "Factuur 4711")),
        (["/EREF/E-2//CNTP/NL32INGB0000012345/INGBNL2A/ING BANK NV INZAKE WEB///REMI/USTD//EV10001REP1000000T1000/"],
         ("E-2", "ING BANK NV INZAKE WEB", "NL32INGB0000012345", "EV10001REP1000000T1000")),
        (["SEPA OVERBOEKING                 IBAN: NL86INGB0002445588        ", "BIC: INGBNL2A                    NAAM: J. JANSEN                 ",
          "OMSCHRIJVING: Huur maart         KENMERK: NOTPROVIDED"], (None, "J. JANSEN", "NL86INGB0002445588", "Huur maart")),
        (["166?00SEPA?20EREF+E-3?21KREF+K-3?22SVWZ+Miete?31DE89370400440532013000?32Max Muster"], ("E-3", "Max Muster", IBAN, "Miete")),
        (["000>100987654321", ">20 HUUR>21 KANTOOR - FEB 2010>310390123456"], (None, None, "0390123456", "HUUR KANTOOR - FEB 2010")),
        (["051?00Lohn?20nur Text?60und mehr"], (None, None, None, "nur Textund mehr")),
        (["FACTUUR 201403110, 201403113"], (None, None, None, "FACTUUR 201403110, 201403113")),
        (["020~20FAKTURA 12~31000090123~32JAN~38PL61109010140000071219812874"], (None, "JAN", "PL61109010140000071219812874", "FAKTURA 12")),
        ([""], (None, None, None, None)),
    ],
)  # fmt: skip
def test_what_banks_say_of_a_line(lines: list[str], expected: tuple[str | None, str | None, str | None, str | None]) -> None:
    """German fields, slash words of Rabobank and ING, colon words of ABN AMRO; what is not understood stays remittance."""
    found = details(lines, "CRDT").detail
    assert (found.end_to_end_id, found.debtor, found.debtor_account, found.remittance) == expected


def test_a_returned_direct_debit_is_a_returned_payment() -> None:
    """A code of business for returns with ISO's reason, or the type RTI."""
    text = message(
        ":61:260302D20,00NRTINONREF",
        ":86:109?00RUECKLASTSCHRIFT?20EREF+E-9?21RETURN AC04 KONTO AUFGELOEST?32ACME",
        closing=":62F:C260302EUR80,00",
    )
    [payment] = rows(read(text.encode()), "payment")
    assert (payment["status"], payment["reason"], payment["amount"], payment["end_to_end_id"]) == (
        "returned",
        "AC04",
        Decimal(20),
        "E-9RETURN AC04 KONTO AUFGELOEST",
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (message(*LINE, closing=":62F:C02032495000,00"), "bad_currency"),
        (message(*LINE, closing=":62F:C260302EUR"), "bad_amount"),
        (message(*LINE, closing=":62F:C260230EUR160,50"), "bad_date"),
        (message(":61:2602300302C60,50NTRFNONREF"), "bad_date"),
        (message(":61:2603020231C60,50NTRFNONREF"), "bad_date"),
        (message(":61:260302C60,505NTRFNONREF", closing=":62F:C260302EUR160,505"), "bad_amount"),
        (message(":61:260302C60,50,1NTRFNONREF"), "bad_amount"),
        (message(":61:260302C60.50NTRFNONREF"), "bad_amount"),
        (message(":61:260302X60,50NTRFNONREF"), "bad_value"),
        (message(":61:260302C,NTRFNONREF"), "bad_value"),
        (message(*LINE, account=""), "bad_value"),
        (message(*LINE, opening=":60F:C260301JPY100", closing=":62F:C260302JPY160,50"), "bad_amount"),
        (message(*LINE, closing=":62F:C260302USD160,50"), "bad_currency"),
        (message(*LINE, opening=":60F:C260301DEM100,00", closing=":62F:C260302DEM160,50"), "bad_currency"),
        (message(":61:260302C60,49NTRFNONREF"), "balance_mismatch"),
        (message(*LINE).partition(":62F:")[0], "file_unreadable"),
        (message(*LINE).partition(":61:")[0], "file_unreadable"),
        (message(*LINE)[:20], "file_unreadable"),
        (message(*LINE).replace(":60F:", ":60X:"), "file_unreadable"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_refuses_the_whole_file(text: str, cause: str) -> None:
    """A field is never read as nothing, and a message before or behind it does not land either."""
    for body in (text, message(*LINE, account="37040044/1") + text):
        with pytest.raises(DataError) as refused:
            read(body.encode())
        assert refused.value.cause == cause
        assert json.loads(json.dumps(refused.value.evidence))
