"""Valid camt documents grown from the schemas themselves: whatever an XSD allows, with any of its choices and optional elements.

It shares nothing with the readers. A document is grown without regard for sense, then made plausible where a statement has to be: its
balances meet its entries, its sums count them, its currencies exist.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

XS = "{http://www.w3.org/2001/XMLSchema}"
PLACES = {"EUR": 2, "USD": 2, "JPY": 0, "BHD": 3, "CHF": 2, "CLF": 4}
WANTED = frozenset((
    "Stmt", "Rpt", "Ntfctn", "Ntry", "NtryDtls", "TxDtls", "Bal", "Refs", "EndToEndId", "AcctSvcrRef", "NtryRef", "BookgDt", "ValDt",
    "RvslInd", "RltdPties", "Dbtr", "Cdtr", "Nm", "Pty", "DbtrAcct", "CdtrAcct", "RmtInf", "Ustrd", "Strd", "CdtrRefInf", "Ref",
    "CdtrRef", "RtrInf", "Rsn", "RtrRsn", "AmtDtls", "TxAmt", "InstdAmt", "CntrValAmt", "TxsSummry", "Ccy", "AddtlNtryInf", "Id",
    "CreDtTm", "Acct",
))  # fmt: skip
"""What a reader looks for comes more often than the rest."""
_SPINE = frozenset(("Ntry", "NtryDtls", "TxDtls"))
_MOST = 90
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz ",
    "ABCXYZ 0123456789/-?:().,'+",
    "äöüßéñçŁøå &<>\"' ",
    "\u4e2d\u6587\u0416\U0001f4b6 \t\n\u00a0\u0085",
)


@cache
def schema(path: Path) -> Schema:
    """The schema at `path`, read once."""
    return Schema(path)


class Schema:
    """One XSD, as far as camt uses the language: sequences, choices, restrictions by enumeration, pattern and length, amounts."""

    def __init__(self, path: Path) -> None:
        self._tree = etree.parse(path)
        root = self._tree.getroot()
        self.name = path.stem
        self.namespace = str(root.get("targetNamespace"))
        self.types = {each.get("name"): each for each in root if each.tag in (f"{XS}complexType", f"{XS}simpleType")}
        self.top = next(each for each in root if each.tag == f"{XS}element")

    def holds(self, document: Any) -> bool:
        """Whether the document, as it is written, is valid by lxml's own reading of the schema."""
        return etree.XMLSchema(self._tree).validate(etree.fromstring(etree.tostring(document)))

    def grow(self, chance: random.Random) -> Any:
        """A document of any shape that the schema allows."""
        currency = chance.choice(list(PLACES))
        return _Growth(self, chance, currency).element(self.top, 0)


@dataclass
class _Growth:
    schema: Schema
    chance: random.Random
    currency: str
    grown: int = 0
    names: list[str] = field(default_factory=list)

    def element(self, declared: Any, depth: int) -> Any:
        name = declared.get("name")
        made = etree.Element(f"{{{self.schema.namespace}}}{name}")
        self.grown += 1
        self.names.append(name)
        self.fill(made, self.schema.types.get(declared.get("type")), declared.get("type"), depth)
        self.names.pop()
        return made

    def fill(self, made: Any, kind: Any, name: str, depth: int) -> None:
        if kind is None:
            made.text = self.value(name, {})
        elif kind.tag == f"{XS}simpleType":
            made.text = self.simple(kind)
        elif kind.find(f"{XS}simpleContent") is not None:
            extension = kind.find(f"{XS}simpleContent/{XS}extension")
            self.currency_amount(made, extension)
        else:
            for group in kind:
                for child in self.children(group, depth):
                    made.append(child)

    def children(self, group: Any, depth: int) -> Iterator[Any]:
        """What a sequence or a choice brings."""
        if group.tag == f"{XS}choice":
            yield from self.particle(self.chance.choice(list(group)), depth)
        elif group.tag == f"{XS}sequence":
            for each in group:
                yield from self.particle(each, depth)

    def particle(self, each: Any, depth: int) -> Iterator[Any]:
        if each.tag == f"{XS}any":
            yield self.foreign()
            return
        least, most = int(each.get("minOccurs", "1")), each.get("maxOccurs", "1")
        for _ in range(self.times(each, least, 9 if most == "unbounded" else int(most), depth)):
            if each.tag == f"{XS}element":
                yield self.element(each, depth + 1)
            else:
                yield from self.children(each, depth)

    def times(self, each: Any, least: int, most: int, depth: int) -> int:
        wanted = each.get("name") in WANTED
        odds = 0.75 if wanted else 0.3 if depth < 4 else 0.12
        if self.grown > _MOST and each.get("name") not in _SPINE:
            odds = 0.5 if wanted else 0.03
        again = odds * 0.6
        if each.get("name") == "Ntry":
            odds, again = 0.9, 0.75
        found = least
        while found < most and self.chance.random() < (odds if found == 0 else again):
            found += 1
        return found

    def simple(self, kind: Any) -> str:
        restriction = kind.find(f"{XS}restriction")
        facets: dict[str, list[str]] = {}
        for each in restriction:
            facets.setdefault(each.tag.removeprefix(XS), []).append(each.get("value"))
        return self.value(restriction.get("base"), facets)

    def value(self, base: str, facets: dict[str, list[str]]) -> str:
        if "enumeration" in facets:
            return self.chance.choice(facets["enumeration"])
        if "pattern" in facets:
            pattern = facets["pattern"][0]
            return self.currency if pattern == "[A-Z]{3,3}" else matching(pattern, self.chance)
        makers: dict[str, Callable[[dict[str, list[str]]], str]] = {
            "xs:string": self.text, "xs:decimal": self.number, "xs:boolean": self.flag, "xs:date": self.day, "xs:dateTime": self.moment,
            "xs:gYear": lambda _: "2026", "xs:gYearMonth": lambda _: "2026-03",
        }  # fmt: skip
        return makers[base](facets)

    def text(self, facets: dict[str, list[str]]) -> str:
        most = min(int(facets.get("maxLength", ["40"])[0]), self.chance.choice((4, 12, 70)))
        least = max(int(facets.get("minLength", ["1"])[0]), 1)
        alphabet = self.chance.choice(_ALPHABETS)
        length = self.chance.randrange(least, max(most, least) + 1)
        found = "".join(self.chance.choice(alphabet) for _ in range(length))
        return found if found.strip() else "x" * length

    def number(self, facets: dict[str, list[str]]) -> str:
        places = int(facets.get("fractionDigits", ["5"])[0])
        return self.lexical(self.chance.randrange(0, 10**6), self.chance.randrange(0, min(places, 4) + 1))

    def flag(self, _: object) -> str:
        return self.chance.choice(("true", "false", "1", "0"))

    def day(self, _: object = None) -> str:
        zone = self.chance.choice(("", "", "Z", "+01:00", "-12:00"))
        return f"{self.chance.randrange(2024, 2028)}-{self.chance.randrange(1, 13):02d}-{self.chance.randrange(1, 29):02d}{zone}"

    def moment(self, _: object = None) -> str:
        second = f"{self.chance.randrange(60):02d}" + self.chance.choice(("", "", ".5", ".123", ".123456789"))
        clock = f"{self.chance.choice((0, 4, 12, 22, 23)):02d}:{self.chance.randrange(60):02d}:{second}"
        if self.chance.random() < 0.05:
            clock = "24:00:00"
        zone = self.chance.choice(("", "", "Z", "+02:00", "-11:30", "+14:00"))
        return f"{self.day()[:10]}T{clock}{zone}"

    def currency_amount(self, made: Any, extension: Any) -> None:
        attribute = extension.find(f"{XS}attribute")
        currency = self.currency if self.chance.random() < 0.85 else self.chance.choice(list(PLACES))
        made.set(attribute.get("name"), currency)
        made.text = self.lexical(self.chance.choice((self.chance.randrange(0, 1000), self.chance.randrange(10**9))), PLACES[currency])

    def lexical(self, whole: int, places: int) -> str:
        """A number as XML Schema lets it be written: zeros around it, a plus, blanks, no digit on one side of the point."""
        digits = str(whole).rjust(places + 1, "0")
        text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
        if "." in text and self.chance.random() < 0.3:
            text += "0" * self.chance.randrange(0, 6 - places)
        if "." in text and self.chance.random() < 0.3:
            text = text.rstrip("0")
        if text.startswith("0.") and len(text) > 2 and self.chance.random() < 0.3:
            text = text[1:]
        shapes = ("{}",) * 8 + ("0{}", "+{}", "\n  {}\t ")
        return self.chance.choice(shapes).format(text)

    def foreign(self) -> Any:
        """What a bank puts into an envelope of its own: elements that are called as the message's are, and none of it counts."""
        space = self.chance.choice(("{urn:bank}", "", f"{{{self.schema.namespace}}}"))
        inner = etree.fromstring(
            "<Own><GrpHdr><CreDtTm>1999-01-01T00:00:00</CreDtTm></GrpHdr><TxDtls><Refs><EndToEndId>FOREIGN</EndToEndId></Refs></TxDtls>"
            "<NtryDtls><TxDtls><RmtInf><Ustrd>FOREIGN</Ustrd></RmtInf></TxDtls></NtryDtls>"
            "<Ntry><Amt Ccy='EUR'>1</Amt></Ntry><Stmt><Id>FOREIGN</Id><Ntry><Amt Ccy='EUR'>9</Amt></Ntry></Stmt><Bal/></Own>"
        )
        for each in inner.iter():
            each.tag = space + each.tag
        inner.tag = "{urn:bank}Own" if space.startswith("{urn:iso") else inner.tag
        return inner


def matching(pattern: str, chance: random.Random) -> str:
    """A text that fits one of the schemas' patterns: classes and plain signs with counts, and one kind of group."""
    pattern = re.sub(r"\((.*?)\)\{0,1\}$", lambda found: found[1] if chance.random() < 0.5 else "", pattern)
    made = ""
    for token in re.finditer(r"(\[[^\]]*\]|\\.|.)(?:\{(\d+)(?:,(\d+))?\})?", pattern):
        signs, least, most = token[1], int(token[2] or 1), int(token[3] or token[2] or 1)
        made += "".join(chance.choice(_class(signs)) for _ in range(chance.randrange(least, most + 1)))
    return made


@cache
def _class(signs: str) -> list[str]:
    inner = re.compile(signs)
    return [chr(code) for code in range(32, 127) if inner.fullmatch(chr(code))]
