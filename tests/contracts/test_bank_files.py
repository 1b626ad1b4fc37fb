"""A drop folder of camt.053 statements passes the contract suite of every adapter, in both versions of the format."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import pytest

from sync.connections import Connection, Landscape, LegalEntity
from sync.ports import Cursor, Filing, Source
from sync.systems.bank_files import client, make_source
from tests.contracts.suite import NOW, AdapterCase, AdapterSuite
from tests.contracts.suite_documents import DocumentCase, DocumentSuite
from tests.contracts.suite_store import Store, pages_of, pull

BERLIN = LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR", zone="Europe/Berlin")
FILE_STATEMENTS = 2


def iban(key: str) -> str:
    """Every key has an account of its own, so that the account's row changes with its record and with no other."""
    return f"DE{int(key.removeprefix('k')):020d}"


@dataclass(frozen=True)
class Statement:
    """What the bank tells of a day: one entry, and the stamp under which it tells it."""

    key: str
    worth: int
    at: datetime
    day: str = ""


class Drop(DocumentCase):
    """A folder into which files of at most two statements are dropped whenever the source is opened."""

    system = "bank_files"

    stream = "statements"
    entity = "bank_transaction"
    value_column = "amount"
    refuses = "page"
    records = FILE_STATEMENTS
    version: ClassVar[str] = "02"

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory()
        self.folder = Path(self._home.name)
        self._waiting: list[Statement] = []
        self._days: dict[str, str] = {}
        self._files = 0
        self._extra: Path | None = None

    def source(self) -> Source:
        self.drop()
        options = {"folder": str(self.folder), "archive": "", "settle_seconds": 0}
        connection = Connection(name="bank", system="bank_files", region="EMEA", legal_entities=("DE01",), options=options)
        return make_source(connection, Landscape(legal_entities=(BERLIN,)))

    def put(self, key: str, worth: int, at: datetime) -> None:
        self._waiting.append(Statement(key, worth, at, day=self._day(key, at)))

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.put(key, worth, at)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._waiting.append(Statement(key, 1, at, day="2026-02-31"))

    def repeat_page(self) -> None:
        self.drop()
        first = self.folder / "camt053_001.xml"
        self._extra = self.folder / "camt053_again.xml"
        self._write(self._extra, first.read_bytes())

    def heal(self) -> None:
        if self._extra is not None:
            self._extra.unlink()

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        chain = {iban("k1"): {"closing": "0.00", "date": "2027-05-20", "statement": "S-k1"}}
        return {**(cursor or {}), "chain": chain}

    def source_key(self, key: str) -> str:
        return f"{iban(key)}|{self._days[key]}|C|R-{key}"

    def _day(self, key: str, at: datetime) -> str:
        """The day that a statement is about stays the same when the bank corrects it."""
        return self._days.setdefault(key, at.date().isoformat())

    def close(self) -> None:
        self._home.cleanup()

    def drop(self) -> None:
        """Writes what waits, in the order in which it was put."""
        while self._waiting:
            self._files += 1
            batch, self._waiting = self._waiting[:FILE_STATEMENTS], self._waiting[FILE_STATEMENTS:]
            self._write(self.folder / f"camt053_{self._files:03d}.xml", self.rewrite(self.body(batch)))

    def body(self, batch: list[Statement]) -> bytes:
        """A file with these statements."""
        return document(batch, self.version)

    def _write(self, path: Path, body: bytes) -> None:
        """As a bank's transfer does it: under another name first. The order of arrival is held apart to the second."""
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(body)
        unfinished.rename(path)
        os.utime(path, (self._files, self._files))


def document(batch: list[Statement], version: str) -> bytes:
    """A camt.053 file of `version` with one statement for each of `batch`, each balancing by itself."""
    inner = "".join(_statement(one, version) for one in batch)
    xmlns = f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}<Document xmlns="{xmlns}"><BkToCstmrStmt>{inner}</BkToCstmrStmt></Document>'.encode()


def _statement(one: Statement, version: str) -> str:
    day = one.day or one.at.date().isoformat()
    closing = Decimal(1000 + one.worth)
    booked = "<Sts><Cd>BOOK</Cd></Sts>" if version == "08" else "<Sts>BOOK</Sts>"
    party = "<Pty><Nm>ACME</Nm></Pty>" if version == "08" else "<Nm>ACME</Nm>"
    return (
        f"<Stmt><Id>S-{one.key}</Id><CreDtTm>{one.at.isoformat()}</CreDtTm><Acct><Id><IBAN>{iban(one.key)}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{_balance('OPBD', Decimal(1000), day)}{_balance('CLBD', closing, day)}"
        f'<Ntry><Amt Ccy="EUR">{one.worth}.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>{booked}<BookgDt><Dt>{day}</Dt></BookgDt>'
        f"<ValDt><Dt>{day}</Dt></ValDt><AcctSvcrRef>R-{one.key}</AcctSvcrRef><NtryDtls><TxDtls>"
        f"<Refs><EndToEndId>E-{one.key}</EndToEndId></Refs><RltdPties><Dbtr>{party}</Dbtr></RltdPties>"
        f"</TxDtls></NtryDtls></Ntry></Stmt>"
    )


def _balance(code: str, amount: Decimal, day: str) -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount:.2f}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
        f"<Dt><Dt>{day}</Dt></Dt></Bal>"
    )


class DropOf08(Drop):
    """The same in version 08, which wraps names and states in one element more."""

    version = "08"


class DropOfMt940(Drop):
    """The same in SWIFT's older format, which says by :13D: when a statement was made."""

    def body(self, batch: list[Statement]) -> bytes:
        return "".join(self._message(one) for one in batch).encode()

    def _message(self, one: Statement) -> str:
        day = (one.day or one.at.date().isoformat())[2:].replace("-", "")
        lines = [
            "{1:F01BANKDEFFXXXX0000000000}{2:O9401200260520BANKDEFFXXXX00000000002605201200N}{4:", f":20:S-{one.key}", f":25:{iban(one.key)}",
            ":28C:1/1", f":13D:{one.at:%y%m%d%H%M}+0000", f":60F:C{day}EUR1000,00",
            f":61:{day}{day[2:]}C{one.worth},00NTRFNONREF//R-{one.key}", f":86:166?00CREDIT?20EREF+E-{one.key}?32ACME",
            f":62F:C{day}EUR{1000 + one.worth},00", "-}",
        ]  # fmt: skip
        return "\r\n".join(lines) + "\r\n"


class DropOfBai2(Drop):
    """The same as banks of North America write it: amounts in cents, and totals at every level."""

    def body(self, batch: list[Statement]) -> bytes:
        made = max(one.at for one in batch).astimezone(ZoneInfo("Europe/Berlin"))
        groups = [self._group(one) for one in batch]
        total = sum(amount for _, amount in groups)
        records = sum(len(lines) for lines, _ in groups) + 2
        lines = [f"01,BANK,US,{made:%y%m%d},{made:%H%M},1,,,2/", *(line for lines, _ in groups for line in lines)]
        return "\n".join([*lines, f"99,{total},{len(groups)},{records}/"]).encode()

    def _group(self, one: Statement) -> tuple[list[str], int]:
        day = (one.day or one.at.date().isoformat())[2:].replace("-", "")
        worth, closing = one.worth * 100, (1000 + one.worth) * 100
        total = 100000 + closing + worth
        return [
            f"02,US,BANK,1,{day},,EUR,2/", f"03,{iban(one.key)},EUR,010,100000,,,015,{closing},,/",
            f"16,165,{worth},,R-{one.key},E-{one.key},ACME INVOICE/", f"49,{total},3/", f"98,{total},1,5/",
        ], total  # fmt: skip


class TestBankFiles(AdapterSuite, DocumentSuite):
    @pytest.fixture
    def documents(self, case: DocumentCase) -> DocumentCase:
        return case

    @pytest.fixture(params=[Drop, DropOf08, DropOfMt940, DropOfBai2], ids=["camt.053.001.02", "camt.053.001.08", "MT940", "BAI2"])
    def case(self, request: pytest.FixtureRequest) -> Iterator[AdapterCase]:
        with request.param() as case:
            yield case


def test_settled_files_leave_the_folder(tmp_path: Path) -> None:
    """An accepted file goes to the archive, a refused one to quarantine with its reason; a second pull finds nothing."""
    options = {"folder": str(tmp_path), "settle_seconds": 0}
    connection = Connection(name="bank", system="bank_files", region="EMEA", legal_entities=("DE01",), options=options)
    source = make_source(connection, Landscape(legal_entities=(BERLIN,)))
    assert isinstance(source, Filing)
    (tmp_path / "good.xml").write_bytes(document([Statement("k1", 5, NOW)], "02"))
    done = pull(source, "statements", None, Store(), now=NOW)
    (tmp_path / "bad.xml").write_bytes(b"<Document></Document>")
    (bad,) = pages_of(source, "statements", done.cursor, now=NOW)
    source.settled("statements", bad, accepted=False, reason="no statement in it")
    assert (tmp_path / "archive" / "good.xml").is_file()
    assert (tmp_path / "quarantine" / "bad.xml.reason.txt").read_text() == "no statement in it\n"
    assert list(pages_of(source, "statements", done.cursor, now=NOW)) == []


def test_a_file_still_being_written_is_left_alone(tmp_path: Path) -> None:
    """A name of a transfer under way, and a young file without its end, wait for the next pull."""
    body = document([Statement("k1", 5, NOW)], "02")
    options = {"folder": str(tmp_path), "settle_seconds": 3600}
    connection = Connection(name="bank", system="bank_files", region="EMEA", legal_entities=("DE01",), options=options)
    source = make_source(connection, Landscape(legal_entities=(BERLIN,)))
    (tmp_path / "a.xml.part").write_bytes(body)
    (tmp_path / "b.xml").write_bytes(body[:-30])
    assert list(pages_of(source, "statements", None, now=NOW)) == []
    (tmp_path / "b.xml").write_bytes(body)
    assert [page.name for page in pages_of(source, "statements", None, now=NOW)] == ["b.xml"]


def test_what_stays_in_the_folder_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files stay: forgotten, an old one would be taken anew. What has left the folder makes room."""
    monkeypatch.setattr(client, "KNOWN_FILES", 2)
    with Drop() as case:
        for number in range(1, 9):
            case.put(f"k{number}", number, NOW)
        source = case.source()
        pages = list(pages_of(source, "statements", None, now=NOW))
        assert len(pages) == 4
        assert list(pages_of(source, "statements", pages[-1].cursor, now=NOW)) == []
        for number in (1, 2, 3):
            (case.folder / f"camt053_00{number}.xml").unlink()
        case.put("k9", 9, NOW)
        [page] = pages_of(case.source(), "statements", pages[-1].cursor, now=NOW)
        assert page.cursor is not None
        assert list(page.cursor["seen"]) == ["camt053_004.xml", "camt053_005.xml"]
