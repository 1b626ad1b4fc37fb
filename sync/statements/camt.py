"""camt.053 as it stands in the file: streamed, hardened, every version alike. Texts only; nothing is believed yet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from sync.errors import DataError

_SAMPLE = 50


@dataclass(slots=True)
class Balance:
    """One `Bal`: its type code (OPBD, PRCD, CLBD, CLAV, FWAV, ITBD ...), amount, currency, direction and date, as written."""

    code: str
    amount: str
    currency: str
    direction: str
    date: str


@dataclass(slots=True)
class Detail:
    """One `TxDtls` of an entry."""

    amount: str | None
    currency: str | None
    end_to_end_id: str | None
    debtor: str | None
    debtor_account: str | None
    creditor: str | None
    creditor_account: str | None
    remittance: str | None
    structured_reference: str | None
    return_reason: str | None


@dataclass(slots=True)
class Entry:
    """One `Ntry`. `direction` already says where the money went, also for a reversal."""

    amount: str
    currency: str
    direction: str
    status: str
    booking_date: str | None
    value_date: str | None
    reference: str | None
    bank_code: str | None
    is_reversal: bool
    details: list[Detail]


@dataclass(slots=True)
class Statement:
    """One `Stmt`: the account (IBAN, or another id), its currency, the bank's stamp, balances and entries.

    `elements`: the names of the elements met in it (in its first entries, where it has many), so that a change of format shows.
    """

    id: str
    account: str
    iban: str | None
    currency: str | None
    bank: str | None
    sequence: str | None
    created: str | None
    balances: list[Balance] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    elements: set[str] = field(default_factory=set)


def local(tag: Any) -> str:
    """The name of a tag without its namespace: versions differ in nothing else that matters at this level."""
    return str(tag).rpartition("}")[2]


def statements(body: bytes) -> list[Statement]:
    """Every statement of a camt.053 document. Raises DataError (file_unreadable) with evidence: not XML, a DOCTYPE, not a camt.053."""
    found: list[Statement] = []
    try:
        for element in _elements(body):
            _take(element, found)
    except etree.XMLSyntaxError as error:
        evidence: dict[str, object] = {"line": error.lineno, "parser": error.msg}
        raise DataError(f"the file is not well-formed XML: {error.msg}", cause="file_unreadable", evidence=evidence) from error
    if not found:
        raise DataError("the file holds no camt.053 statement", cause="file_unreadable", evidence={"head": repr(body[:120])})
    return found


def _elements(body: bytes) -> Iterator[Any]:
    """The elements worth reading, each cleared from memory once it was; entities are never resolved and a DOCTYPE is refused."""
    events = etree.iterparse(
        io.BytesIO(body), events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    first = True
    for event, element in events:
        if first:
            first = False
            if element.getroottree().docinfo.doctype:
                raise DataError("the file carries a DOCTYPE, which no bank statement needs", cause="file_unreadable", evidence={})
        name = local(element.tag)
        if event == "start":
            if name == "Stmt":
                yield element
            continue
        if name in ("Id", "ElctrncSeqNb", "CreDtTm", "Acct", "Bal", "Ntry") and local(element.getparent().tag) == "Stmt":
            yield element
            if name == "Ntry":
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]


def _take(element: Any, found: list[Statement]) -> None:
    name = local(element.tag)
    if name == "Stmt":
        found.append(Statement(id="", account="", iban=None, currency=None, bank=None, sequence=None, created=None))
        return
    statement = found[-1]
    if len(statement.entries) < _SAMPLE:
        statement.elements.update(local(each.tag) for each in element.iter(etree.Element))
    if name == "Id":
        statement.id = (element.text or "").strip()
    elif name == "ElctrncSeqNb":
        statement.sequence = (element.text or "").strip()
    elif name == "CreDtTm":
        statement.created = (element.text or "").strip()
    elif name == "Acct":
        statement.iban = _text(element, "Id/IBAN")
        statement.account = statement.iban or _text(element, "Id/Othr/Id") or ""
        statement.currency = _text(element, "Ccy")
        statement.bank = _text(element, "Svcr/FinInstnId/BICFI") or _text(element, "Svcr/FinInstnId/BIC")
    elif name == "Bal":
        statement.balances.append(_balance(element))
    else:
        statement.entries.append(_entry(element))


def _balance(element: Any) -> Balance:
    amount = _find(element, "Amt")
    return Balance(
        code=_text(element, "Tp/CdOrPrtry/Cd") or _text(element, "Tp/CdOrPrtry/Prtry") or "",
        amount=_own(amount) or "",
        currency=(amount.get("Ccy") if amount is not None else None) or "",
        direction=_text(element, "CdtDbtInd") or "",
        date=_text(element, "Dt/Dt") or _text(element, "Dt/DtTm") or "",
    )


def _entry(element: Any) -> Entry:
    amount = _find(element, "Amt")
    code = "/".join(
        part
        for part in (
            _text(element, "BkTxCd/Domn/Cd"),
            _text(element, "BkTxCd/Domn/Fmly/Cd"),
            _text(element, "BkTxCd/Domn/Fmly/SubFmlyCd"),
        )
        if part
    )
    return Entry(
        amount=_own(amount) or "",
        currency=(amount.get("Ccy") if amount is not None else None) or "",
        direction=_text(element, "CdtDbtInd") or "",
        status=_text(element, "Sts/Cd") or _text(element, "Sts") or "",
        booking_date=_text(element, "BookgDt/Dt") or _text(element, "BookgDt/DtTm"),
        value_date=_text(element, "ValDt/Dt") or _text(element, "ValDt/DtTm"),
        reference=_text(element, "AcctSvcrRef") or _text(element, "NtryRef"),
        bank_code=code or _text(element, "BkTxCd/Prtry/Cd"),
        is_reversal=(_text(element, "RvslInd") or "").lower() in ("true", "1"),
        details=[_detail(part) for part in _all(element, "NtryDtls/TxDtls")],
    )


def _detail(element: Any) -> Detail:
    amount = _find(element, "Amt")
    if amount is None:
        amount = _find(element, "AmtDtls/TxAmt/Amt")
    remittance = " ".join(text for part in _all(element, "RmtInf/Ustrd") if (text := _own(part)))
    return Detail(
        amount=_own(amount),
        currency=amount.get("Ccy") if amount is not None else None,
        end_to_end_id=_text(element, "Refs/EndToEndId"),
        debtor=_text(element, "RltdPties/Dbtr/Nm") or _text(element, "RltdPties/Dbtr/Pty/Nm"),
        debtor_account=_text(element, "RltdPties/DbtrAcct/Id/IBAN") or _text(element, "RltdPties/DbtrAcct/Id/Othr/Id"),
        creditor=_text(element, "RltdPties/Cdtr/Nm") or _text(element, "RltdPties/Cdtr/Pty/Nm"),
        creditor_account=_text(element, "RltdPties/CdtrAcct/Id/IBAN") or _text(element, "RltdPties/CdtrAcct/Id/Othr/Id"),
        remittance=remittance or None,
        structured_reference=_text(element, "RmtInf/Strd/CdtrRefInf/Ref"),
        return_reason=_text(element, "RtrInf/Rsn/Cd") or _text(element, "RtrInf/Rsn/Prtry"),
    )


def _all(element: Any, path: str) -> list[Any]:
    found = [element]
    for step in path.split("/"):
        found = [child for parent in found for child in parent if local(child.tag) == step]
    return found


def _find(element: Any, path: str) -> Any:
    found = _all(element, path)
    return found[0] if found else None


def _text(element: Any, path: str) -> str | None:
    return _own(_find(element, path))


def _own(element: Any) -> str | None:
    if element is None or element.text is None:
        return None
    text: str = element.text.strip()
    return text or None
