"""What a person reads in a camt document, by XPath alone; and what makes one that was grown at random plausible. Knows no reader."""

from __future__ import annotations

import copy
import random
from decimal import Decimal
from typing import Any

from lxml import etree

from tests.unit.statements.schema_documents import PLACES

OWNERS = ("Stmt", "Rpt", "Ntfctn")
COUNTER_VALUES = ("CntrValAmt", "TxAmt", "InstdAmt", "AnncdPstngAmt")
_CLOSING = {"OPBD", "PRCD", "CLBD", "OPIM", "CLIM"}


def nodes(element: Any, path: str) -> list[Any]:
    """The elements at `path` (names and slashes) below `element`, whatever their namespace."""
    found: list[Any] = element.xpath("/".join(f"*[local-name()='{name}']" for name in path.split("/")))
    return found


def said(element: Any, *paths: str) -> str | None:
    """The first text that one of the paths has, without the blanks around it."""
    texts = ((node.text or "").strip() for path in paths for node in nodes(element, path))
    return next((text for text in texts if text), None)


def owners(document: Any) -> list[Any]:
    """The statements, reports or notifications of a document, in its order."""
    return [each for root in document for name in OWNERS for each in nodes(root, name)]


def entries(document: Any) -> list[Any]:
    """Every entry of the document, booked or not."""
    return [entry for owner in owners(document) for entry in nodes(owner, "Ntry")]


def value(amount: Any) -> Decimal:
    return Decimal(amount.text.strip())


def signed(entry: Any) -> Decimal:
    return value(nodes(entry, "Amt")[0]) * (1 if said(entry, "CdtDbtInd") == "CRDT" else -1)


def is_booked(entry: Any) -> bool:
    return said(entry, "Sts/Cd", "Sts") == "BOOK"


def details(entry: Any) -> list[Any]:
    return nodes(entry, "TxDtls") + nodes(entry, "NtryDtls/TxDtls")


def counter_value(entry: Any, currency: str) -> Decimal:
    """What an entry in another currency is worth in the account's, with its sign; 0 where it does not say so."""
    inner = details(entry)
    for holder in (entry, *(inner if len(inner) == 1 else ())):
        for name in COUNTER_VALUES:
            for amount in nodes(holder, f"AmtDtls/{name}/Amt"):
                if amount.get("Ccy") == currency:
                    return value(amount) * (1 if said(entry, "CdtDbtInd") == "CRDT" else -1)
    return Decimal(0)


def account(owner: Any) -> str | None:
    iban = said(owner, "Acct/Id/IBAN")
    if iban:
        return iban.replace(" ", "").upper()
    return said(owner, "Acct/Id/Othr/Id", "Acct/Id/PrtryAcct/Id", "Acct/Id/BBAN", "Acct/Id/UPIC", "Acct/Prxy/Id")


def own_currency(owner: Any) -> str | None:
    return said(owner, "Acct/Ccy") or next((amount.get("Ccy") for amount in nodes(owner, "Bal/Amt")), None)


def plausible(document: Any, chance: random.Random) -> None:
    """Gives every statement balances that meet its entries, and every summary its right figures; all else stays as it grew."""
    for owner in owners(document):
        entries = nodes(owner, "Ntry")
        for state in [state for entry in entries for state in nodes(entry, "Sts/Cd")]:
            state.text = chance.choice(("BOOK", "BOOK", "BOOK", "PDNG", "INFO", "FUTR"))
        if nodes(owner, "Bal"):
            _balance(owner, entries, chance)
        _summarise(owner, entries, chance)
        for page in nodes(owner, "StmtPgntn") + nodes(owner, "RptPgntn") + nodes(owner, "NtfctnPgntn"):
            nodes(page, "PgNb")[0].text = str(chance.randrange(1, 4))


def _balance(owner: Any, entries: list[Any], chance: random.Random) -> None:
    held = nodes(owner, "Bal")
    for each in held:
        if said(each, "Tp/CdOrPrtry/Cd", "Tp/Cd") in _CLOSING:
            _code(each, "CLAV")
    opening, closing = held[0], copy.deepcopy(held[0])
    held[-1].addnext(closing)
    currency = said(owner, "Acct/Ccy") or nodes(opening, "Amt")[0].get("Ccy")
    booked = [entry for entry in entries if is_booked(entry)]
    moved = sum((signed(entry) for entry in booked if nodes(entry, "Amt")[0].get("Ccy") == currency), Decimal(0))
    moved += sum((counter_value(entry, currency) for entry in booked if nodes(entry, "Amt")[0].get("Ccy") != currency), Decimal(0))
    start = Decimal(chance.randrange(-(10**8), 10**8)).scaleb(-PLACES[currency])
    for balance, code, amount in ((opening, chance.choice(("OPBD", "PRCD")), start), (closing, "CLBD", start + moved)):
        _code(balance, code)
        nodes(balance, "Amt")[0].set("Ccy", currency)
        nodes(balance, "Amt")[0].text = f"{abs(amount):f}"
        nodes(balance, "CdtDbtInd")[0].text = "DBIT" if amount < 0 else "CRDT"


def _code(balance: Any, code: str) -> None:
    kind = nodes(balance, "Tp")[0]
    space = kind.tag.rpartition("}")[0] + "}"
    is_first_version = not nodes(kind, "CdOrPrtry")
    kind[:] = []
    holder = kind if is_first_version else etree.SubElement(kind, f"{space}CdOrPrtry")
    etree.SubElement(holder, f"{space}Cd").text = code


def _summarise(owner: Any, entries: list[Any], chance: random.Random) -> None:
    only_booked, transactions = chance.random() < 0.5, chance.random() < 0.5
    told = [entry for entry in entries if is_booked(entry) or not only_booked]
    for name, side in (("TtlNtries", None), ("TtlCdtNtries", "CRDT"), ("TtlDbtNtries", "DBIT")):
        of_side = [entry for entry in told if side in (None, said(entry, "CdtDbtInd"))]
        count = sum(max(len(details(entry)), 1) for entry in of_side) if transactions else len(of_side)
        for each in nodes(owner, f"TxsSummry/{name}/NbOfNtries"):
            each.text = str(count)
        for each in nodes(owner, f"TxsSummry/{name}/Sum"):
            each.text = f"{sum((abs(signed(entry)) for entry in of_side), Decimal(0)):f}"


def transactions(document: Any) -> list[dict[str, object]]:
    """Every booked entry of the document, in its order, as the bank tells it."""
    found: list[dict[str, object]] = []
    for owner in owners(document):
        created = said(owner, "CreDtTm") or next((said(root, "GrpHdr/CreDtTm") for root in document), None)
        balances = nodes(owner, "Bal")
        closing = next((said(each, "Dt/Dt", "Dt/DtTm") for each in balances if said(each, "Tp/CdOrPrtry/Cd", "Tp/Cd") == "CLBD"), None)
        day = (closing or created or "")[:10]
        found += [_transaction(owner, entry, day) for entry in nodes(owner, "Ntry") if is_booked(entry)]
    return found


def _transaction(owner: Any, entry: Any, day: str) -> dict[str, object]:
    inner = details(entry)
    only = inner[0] if len(inner) == 1 else None
    value_date = said(entry, "ValDt/Dt", "ValDt/DtTm")
    booked = said(entry, "BookgDt/Dt", "BookgDt/DtTm") or value_date or day
    remittance = said(entry, "AddtlNtryInf") if not inner else " ".join(filter(None, (_remittance(each) for each in inner))) or None
    end_to_end = said(only, "Refs/EndToEndId") if only is not None else None
    reference = said(entry, "AcctSvcrRef") or (said(only, "Refs/AcctSvcrRef") if only is not None else None) or said(entry, "NtryRef")
    return {
        "account": account(owner),
        "statement_id": said(owner, "Id"),
        "amount": signed(entry),
        "currency": nodes(entry, "Amt")[0].get("Ccy"),
        "booking_date": booked[:10],
        "value_date": value_date[:10] if value_date else None,
        "entry_reference": reference,
        "end_to_end_id": end_to_end,
        "remittance": remittance,
        "is_reversal": said(entry, "RvslInd") in ("true", "1"),
        "return_reason": next(filter(None, (_reason(each) for each in inner)), None),
        "structured_reference": _structured(only) if only is not None else None,
        **_counterparty(entry, only),
    }


def _remittance(detail: Any) -> str | None:
    free = [(node.text or "").strip() for node in nodes(detail, "RmtInf/Ustrd")]
    documents = [said(node, "Nb") or said(node, "RfrdDocNb") or "" for node in nodes(detail, "RmtInf/Strd/RfrdDocInf")]
    return " ".join(filter(None, free)) or " ".join(filter(None, documents)) or None


def _structured(detail: Any) -> str | None:
    return next(filter(None, (said(node, "CdtrRefInf/Ref", "CdtrRefInf/CdtrRef") for node in nodes(detail, "RmtInf/Strd"))), None)


def _reason(detail: Any) -> str | None:
    return said(
        detail, "RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry", "RtrInf/RtrRsn/Cd", "RtrInf/RtrRsn/Prtry", "RtrInf/AddtlInf", "RtrInf/AddtlRtrRsnInf"
    )


def _counterparty(entry: Any, only: Any) -> dict[str, object]:
    sides = ("Dbtr", "Cdtr") if said(entry, "CdtDbtInd") == "CRDT" else ("Cdtr", "Dbtr")
    for side in sides if only is not None else ():
        parties = [f"RltdPties/{name}/{path}" for name in (side, f"Ultmt{side}") for path in ("Nm", "Pty/Nm", "Agt/FinInstnId/Nm")]
        held = f"RltdPties/{side}Acct"
        iban = said(only, f"{held}/Id/IBAN")
        name = said(only, *parties)
        number = iban.replace(" ", "").upper() if iban else said(
            only, f"{held}/Id/Othr/Id", f"{held}/Id/PrtryAcct/Id", f"{held}/Id/BBAN", f"{held}/Id/UPIC", f"{held}/Prxy/Id"
        )  # fmt: skip
        if name or number:
            return {"counterparty_name": name, "counterparty_account": number}
    return {"counterparty_name": None, "counterparty_account": None}
