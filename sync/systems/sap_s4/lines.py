"""Accounting items as the source itself has to know them: by their documents, and by what they name and pay. Mapping reads the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from sync.systems.sap_s4.items import NO_YEAR, document


class Line(msgspec.Struct):
    """What the source itself has to know of an item; mapping reads the rest."""

    CompanyCode: str = ""
    FiscalYear: str = ""
    AccountingDocument: str = ""
    AccountingDocumentItem: str = ""
    FinancialAccountType: str | None = None
    AccountingDocumentType: str | None = None
    SpecialGLCode: str | None = None
    BillingDocument: str | None = None
    InvoiceReference: str | None = None
    InvoiceReferenceFiscalYear: str | None = None
    AmountInTransactionCurrency: Any = None
    DebitCreditCode: str | None = None
    IsReversed: bool | None = None
    IsReversal: bool | None = None
    ClearingDate: str | None = None
    IsCleared: bool | None = None
    ClearingIsReversed: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing has cleared it yet."""
        return not self.IsCleared and (not self.ClearingDate or bool(self.ClearingIsReversed))

    @property
    def doc(self) -> str:
        """The accounting document that the item is part of."""
        return document(self.CompanyCode, self.FiscalYear, self.AccountingDocument)

    @property
    def names(self) -> str | None:
        """The accounting document that the item names, if it names one."""
        if not self.InvoiceReference:
            return None
        year = self.InvoiceReferenceFiscalYear
        return document(self.CompanyCode, self.FiscalYear if year in (None, "", NO_YEAR) else year, self.InvoiceReference)

    @property
    def pays(self) -> Decimal:
        """What a payment's item pays of the document it names; nothing once it was reversed."""
        if self.BillingDocument or self.SpecialGLCode or self.IsReversed or self.IsReversal or self.names is None:
            return Decimal(0)
        try:
            amount = Decimal(str(self.AmountInTransactionCurrency or "0"))
        except InvalidOperation:
            return Decimal(0)
        signed = {"H": -abs(amount), "S": abs(amount)}.get(self.DebitCreditCode or "", amount)
        return -signed


CUSTOMERS = "D"
"""The account type of customers' lines."""
_LINE = msgspec.json.Decoder(Line, float_hook=Decimal)


@dataclass
class Items:
    """Items of customers, of one company or of all, by their key, as bytes and as lines; items whose key can't be read stand for themselves.
    Others, which a host gives that heeds no condition, are passed over.
    """

    company: str | None = None
    raw: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)

    def add(self, records: Iterable[msgspec.Raw | bytes]) -> list[str]:
        """Takes items in; returns their keys."""
        keys = []
        for record in records:
            body = bytes(record)
            try:
                line = _LINE.decode(body)
                whole = line.CompanyCode and line.AccountingDocument and line.AccountingDocumentItem
            except (msgspec.DecodeError, UnicodeDecodeError):
                line, whole = Line(), ""
            if whole and not self._takes(line):
                continue
            key = f"{line.doc}/{line.AccountingDocumentItem}" if whole else f"?{hashlib.sha256(body).hexdigest()}"
            self.raw[key], self.lines[key] = body, line
            keys.append(key)
        return keys

    def _takes(self, line: Line) -> bool:
        return line.FinancialAccountType in (None, "", CUSTOMERS) and self.company in (None, line.CompanyCode)

    def take(self, others: Items) -> None:
        """Takes the items of another read in."""
        self.raw |= others.raw
        self.lines |= others.lines

    def opened(self) -> set[str]:
        """The keys of the items that are open."""
        return {key for key, line in self.lines.items() if line.AccountingDocument and line.is_open}

    def of(self, docs: set[str]) -> list[str]:
        """The keys of the items of some documents."""
        return [key for key, line in self.lines.items() if line.doc in docs]
