"""The parts of a camt message, each read in one pass over its children: names without namespace, versions 01 to 14."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sync.statements.model import Balance, Declared, Detail, Entry

_PAGE_EDGES = {"OPBD": "OPIM", "PRCD": "OPIM", "CLBD": "CLIM"}
"""Where a statement comes in pages, the balance at which one ends and the next begins is neither the day's first nor its last."""
STATUSES = frozenset(("BOOK", "PDNG", "INFO", "FUTR"))
"""What ISO 20022 lets a bank say of an entry."""

PROPRIETARY = "proprietary"
_ONCE = frozenset(("Amt", "CdtDbtInd", "RvslInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef", "NtryRef"))
_SUMMARIES = {"TtlNtries": None, "TtlCdtNtries": "CRDT", "TtlDbtNtries": "DBIT"}


@lru_cache(maxsize=4096)
def local(tag: Any) -> str:
    """The name of a tag without its namespace: versions differ in nothing else that matters at this level."""
    return str(tag).rpartition("}")[2]


def text(element: Any, path: str) -> str | None:
    """The text at the first `path` (names, slashes) below `element`, stripped; None where it is absent or empty."""
    found = element
    for step in path.split("/"):
        found = child(found, step)
        if found is None:
            return None
    return own(found)


def child(element: Any, name: str) -> Any:
    """The first child of this name, or None."""
    for each in element:
        if local(each.tag) == name:
            return each
    return None


def own(element: Any) -> str | None:
    """The element's own text, stripped; None where it is empty."""
    found: str | None = element.text
    return (found.strip() or None) if found else None


def number(element: Any) -> str | None:
    """The element's text as a plain decimal number: XML Schema also lets a number begin or end with its point."""
    found = own(element)
    if found is None or (found[0].isdigit() and found[-1] != "."):
        return found
    whole, _, part = found.removeprefix("+").partition(".")
    return f"{whole or '0'}.{part}" if part else whole


def party_account(account: Any) -> tuple[str | None, str | None]:
    """(IBAN, other id) of an account element. Version 01 has other ids directly below `Id`; since version 13 an account may have only a
    proxy's (`Prxy`).
    """
    chosen = child(account, "Id")
    iban = other = None
    for each in () if chosen is None else chosen:
        name = local(each.tag)
        if name == "IBAN":
            iban = own(each)
        elif name in ("Othr", "PrtryAcct"):
            other = text(each, "Id")
        elif name in ("BBAN", "UPIC"):
            other = own(each)
    return iban.replace(" ", "").upper() if iban else None, other or (None if iban else text(account, "Prxy/Id"))


def balance(element: Any) -> Balance:
    """One `Bal`. Its type is a code or the bank's own word."""
    amount = child(element, "Amt")
    kind = child(element, "Tp")
    code = None
    if kind is not None:
        code = text(kind, "CdOrPrtry/Cd") or text(kind, "CdOrPrtry/Prtry") or text(kind, "Cd") or text(kind, "Prtry")
    if kind is not None and (text(kind, "SubTp/Cd") or text(kind, "SubTp/Prtry")) == "INTM":
        code = _PAGE_EDGES.get(code or "", code)
    return Balance(
        code=code or "",
        amount=(number(amount) if amount is not None else None) or "",
        currency=(amount.get("Ccy") if amount is not None else None) or "",
        direction=text(element, "CdtDbtInd") or "",
        date=text(element, "Dt/Dt") or text(element, "Dt/DtTm") or "",
    )


def summary(element: Any) -> list[Declared]:
    """What `TxsSummry` says of all entries, of the credits and of the debits: plain numbers, whatever the entries' currencies."""
    return [
        Declared(_SUMMARIES[local(each.tag)], text(each, "NbOfNtries"), _sum(each), "") for each in element if local(each.tag) in _SUMMARIES
    ]


class Contradicted(Exception):  # noqa: N818  (what it says of the entry, not of a program)
    """An entry says something twice, and not alike, that can be only one; the name of it."""


def _hold_alike(element: Any, name: str) -> None:
    """Raises Contradicted where the children of this name differ."""
    if len({"".join(each.itertext()).strip() for each in element if local(each.tag) == name}) > 1:
        raise Contradicted(name)


def _sum(element: Any) -> str | None:
    found = child(element, "Sum")
    return None if found is None else number(found)


def entry(element: Any, details: Sequence[Detail], account_currency: str | None = None) -> Entry:
    """One `Ntry`, whose `TxDtls` were read before. Charges stand in elements of their own and are never its amount. Raises Contradicted."""
    found = Entry("", "", "", "", None, None, None, None, details=details)
    worth: list[tuple[str, str]] = []
    seen: set[str] = set()
    for each in element:
        name = local(each.tag)
        if name in seen and name in _ONCE:
            _hold_alike(element, name)
        seen.add(name)
        if name == "Amt":
            found.amount, found.currency = number(each) or "", each.get("Ccy") or ""
        elif name == "CdtDbtInd":
            found.direction = own(each) or ""
        elif name == "RvslInd":
            found.is_reversal = (own(each) or "").lower() in ("true", "1")
        elif name == "Sts":
            found.status = text(each, "Cd") or own(each) or (PROPRIETARY if text(each, "Prtry") else "")
        elif name == "BookgDt":
            found.booking_date = text(each, "Dt") or text(each, "DtTm")
        elif name == "ValDt":
            found.value_date = text(each, "Dt") or text(each, "DtTm")
        elif name == "AcctSvcrRef":
            found.reference = own(each)
        elif name == "NtryRef":
            found.number = own(each)
        elif name == "BkTxCd":
            found.bank_code = _bank_code(each)
        elif name == "AmtDtls":
            worth += _counter_values(each)
        elif name == "AddtlNtryInf":
            found.text = own(each)
    if len(details) == 1:
        found.reference = found.reference or details[0].reference
        worth += details[0].counter_values
    found.counter_value = _in_currency(worth, found.currency, account_currency)
    return found


def detail(element: Any) -> Detail:
    """One `TxDtls`."""
    found = Detail()
    for each in element:
        name = local(each.tag)
        if name == "Refs":
            found.end_to_end_id, found.reference = text(each, "EndToEndId"), text(each, "AcctSvcrRef")
        elif name == "Amt":
            found.amount, found.currency = number(each), each.get("Ccy")
        elif name == "AmtDtls":
            _amounts(each, found)
        elif name == "CdtDbtInd":
            found.direction = own(each)
        elif name == "RltdPties":
            _parties(each, found)
        elif name == "RmtInf":
            _remittance(each, found)
        elif name == "RtrInf":
            found.return_reason = _reason(each)
    return found


def _bank_code(element: Any) -> str | None:
    domain = child(element, "Domn")
    if domain is not None:
        parts = (text(domain, "Cd"), text(domain, "Fmly/Cd"), text(domain, "Fmly/SubFmlyCd"))
        if any(parts):
            return "/".join(part for part in parts if part)
    return text(element, "Prtry/Cd")


def _amounts(element: Any, found: Detail) -> None:
    """The transaction's amount where it has none of its own; and its counter value in the account's currency."""
    inner = child(element, "TxAmt")
    amount = child(inner, "Amt") if inner is not None else None
    if found.amount is None and amount is not None:
        found.amount, found.currency = number(amount), amount.get("Ccy")
    found.counter_values = _counter_values(element)


def _counter_values(element: Any) -> list[tuple[str, str]]:
    """The amounts of an `AmtDtls` with their currencies, those first that are most likely meant as a counter value."""
    found: list[tuple[str, str]] = []
    for name in ("CntrValAmt", "TxAmt", "InstdAmt", "AnncdPstngAmt"):
        inner = child(element, name)
        amount = child(inner, "Amt") if inner is not None else None
        if amount is not None and own(amount) and amount.get("Ccy"):
            found.append((number(amount) or "", str(amount.get("Ccy"))))
    return found


def _in_currency(worth: Sequence[tuple[str, str]], currency: str, account_currency: str | None) -> tuple[str, str] | None:
    """What an amount of `currency` is worth in the account's currency, or, where nobody says that, in another one."""
    others = [each for each in worth if each[1] != currency]
    return next((each for each in others if each[1] == account_currency), others[0] if others else None)


def _parties(element: Any, found: Detail) -> None:
    ultimate: dict[str, str | None] = {}
    for each in element:
        name = local(each.tag)
        if name == "Dbtr":
            found.debtor = _name(each)
        elif name == "Cdtr":
            found.creditor = _name(each)
        elif name == "DbtrAcct":
            found.debtor_account = _account(each)
        elif name == "CdtrAcct":
            found.creditor_account = _account(each)
        elif name in ("UltmtDbtr", "UltmtCdtr"):
            ultimate[name] = _name(each)
    found.debtor = found.debtor or ultimate.get("UltmtDbtr")
    found.creditor = found.creditor or ultimate.get("UltmtCdtr")


def _name(party: Any) -> str | None:
    """`Nm`, or since version 08 `Pty/Nm`, or a bank's name where the party is an agent."""
    return text(party, "Nm") or text(party, "Pty/Nm") or text(party, "Agt/FinInstnId/Nm")


def _account(element: Any) -> str | None:
    iban, other = party_account(element)
    return iban or other


def _remittance(element: Any, found: Detail) -> None:
    free: list[str] = []
    documents: list[str] = []
    for each in element:
        if local(each.tag) == "Ustrd":
            free.append(own(each) or "")
            continue
        reference = text(each, "CdtrRefInf/Ref") or text(each, "CdtrRefInf/CdtrRef")
        found.structured_reference = found.structured_reference or reference
        documents += [text(part, "Nb") or text(part, "RfrdDocNb") or "" for part in each if local(part.tag) == "RfrdDocInf"]
    words = " ".join(word for word in free if word) or " ".join(word for word in documents if word)
    found.remittance = words or None


def _reason(element: Any) -> str | None:
    """Why it came back: a code, or the bank's own word."""
    for name in ("Rsn", "RtrRsn"):
        found = text(element, f"{name}/Cd") or text(element, f"{name}/Prtry")
        if found:
            return found
    return text(element, "AddtlInf") or text(element, "AddtlRtrRsnInf")
