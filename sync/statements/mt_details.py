"""`:86:`, what a bank says of a line: German ?20 fields, /EREF/ words, words with a colon or a plus, or free text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sync.statements.lines import clean
from sync.statements.model import Detail
from sync.statements.mt_fields import is_iban

WIDTH = 65
_GERMAN = re.compile(r"^\s*(\d{3})?([^\w\s/:+.,-])(?=\d\d)")
_PLUS = re.compile(r"(?:^|(?<=\W)|(?<=[a-z0-9]))(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT|PURP)[+](?=\S|\s|$)")
_COLON = re.compile(
    r"\b(IBAN|BIC|NAAM|NAME|OMSCHRIJVING|KENMERK|BETALINGSKENM\.|MACHTIGING|INCASSANT|EREF|REMI|ORDP|BENM|REK|Naam|Omschrijving|Kenmerk): ?"
)
_SLASH_WORDS = frozenset(
    [
        "ADDR",
        "BENM",
        "BIC",
        "BUSP",
        "CNTP",
        "CRED",
        "CSID",
        "CUR",
        "DBIT",
        "EREF",
        "IBAN",
        "ID",
        "INST",
        "ISDT",
        "KREF",
        "MARF",
        "NAME",
        "NRTX",
        "ORDP",
        "PREF",
        "PURP",
        "REMI",
        "RTRN",
        "RTYP",
        "STRD",
        "SVCL",
        "TRCD",
        "TRTP",
        "ULTB",
        "ULTC",
        "ULTD",
        "USTD",
    ]
)
_SLASH = re.compile(r"^\s*/?(?:EREF|TRTP|BENM|ORDP|REMI|TRCD|CNTP|PREF|RTRN|NAME|IBAN|MARF|CSID|KREF|RTYP)/|/(?:EREF|REMI|NAME|IBAN)/")
_RETURN_CODES = re.compile(r"\b((?:AC|AG|AM|BE|CU|DT|ED|FF|MD|MS|RC|RR|SL|SV|TM)\d{2})\b")
_RETURNS = frozenset(["104", "108", "109", "159", "181", "182", "183", "184", "185", "199"])
_NOT_GIVEN = ("NOTPROVIDED", "NONREF", "")


@dataclass(slots=True)
class Information:
    """What was understood, and the bank's own code of business (GVC) where there is one."""

    detail: Detail
    bank_code: str | None = None


def details(words: list[str], direction: str, kind: str | None = None) -> Information:
    """The counterparty, its account, the remittance and the references of one `:86:`; what is not understood stays remittance."""
    text = "".join(words)
    german = _GERMAN.match(text)
    if german:
        found = _german(text, german)
    elif _SLASH.search(text):
        found = Information(_slashed(text))
    else:
        found = Information(_free(_unwrapped(words)))
    detail = found.detail
    if detail.debtor or detail.debtor_account:
        # One counterparty is read; which of the two it is follows from the money's direction.
        if direction == "DBIT":
            detail.creditor, detail.creditor_account, detail.debtor, detail.debtor_account = (
                detail.debtor,
                detail.debtor_account,
                None,
                None,
            )
    if detail.return_reason is None and (found.bank_code in _RETURNS or (kind or "").endswith("RTI")):
        code = _RETURN_CODES.search(text)
        detail.return_reason = code[1] if code else None
    return found


def _unwrapped(words: list[str]) -> str:
    """Lines as one text: a line that is full goes on in the next without a blank."""
    joined = ""
    for word in words:
        joined += word if len(word) >= WIDTH else word + " "
    return clean(joined)


@lru_cache(maxsize=256)
def _parting(mark: str) -> re.Pattern[str]:
    return re.compile(re.escape(mark) + r"(\d\d)")


def _german(text: str, start: re.Match[str]) -> Information:
    mark = start[2]
    head, *parts = _parting(mark).split(text)
    fields: dict[str, str] = {}
    for code, value in zip(parts[::2], parts[1::2], strict=True):
        fields[code] = fields.get(code, "") + value
    # A text goes on in the next field without a blank; a word with a plus begins there, whatever the one before ended with.
    said = (fields[code] for code in sorted(fields) if "20" <= code <= "29" or "60" <= code <= "63")
    purpose = "".join(f" {part}" if part[4:5] == "+" and _PLUS.match(part) else part for part in said)
    detail = _free(clean(purpose))
    name = clean(fields.get("32", "") + fields.get("33", ""))
    detail.debtor = detail.debtor or name or None
    # Polish banks put the IBAN in a field of its own; else an account number is kept as it is.
    iban = fields.get("38", "").replace(" ", "").upper()
    own = iban if is_iban(iban) else clean(fields.get("31", ""))
    detail.debtor_account = own or detail.debtor_account or None
    detail.remittance = detail.remittance or clean(fields.get("00", "")) or None
    return Information(detail, head.strip() or None)


def _free(text: str) -> Detail:
    """Words with a plus (German SEPA) or a colon (Dutch banks); else all of it is remittance."""
    if _PLUS.search(text):
        return _of_words(_pairs(_PLUS, text))
    words = _pairs(_COLON, text)
    if len(words) >= 3 and {"IBAN", "NAAM", "REK", "OMSCHRIJVING"} & words.keys():
        return _of_words(words)
    return Detail(remittance=text or None)


def _pairs(pattern: re.Pattern[str], text: str) -> dict[str, str]:
    head, *parts = pattern.split(text)
    found = {"": clean(head)}
    for word, value in zip(parts[::2], parts[1::2], strict=True):
        found[word.upper()] = clean(f"{found.get(word.upper(), '')} {value}")
    return found


def _of_words(words: dict[str, str]) -> Detail:
    remittance = words.get("SVWZ") or words.get("OMSCHRIJVING") or words.get("REMI") or words.get("")
    account = words.get("IBAN") or words.get("REK", "").rstrip("/")
    return Detail(
        end_to_end_id=_given(words.get("EREF") or words.get("KENMERK")),
        debtor=words.get("NAAM") or words.get("NAME") or words.get("ABWA") or None,
        debtor_account=account.replace(" ", "") or None,
        remittance=remittance or None,
    )


def _slashed(text: str) -> Detail:
    """`/EREF/x/BENM//NAME/y/REMI/z`: a word, then what stands up to the next word; ING's counterparty has its parts in their order."""
    words: dict[str, list[str]] = {"": []}
    current = ""
    for part in text.split("/"):
        if part.strip() in _SLASH_WORDS:
            current = part.strip()
            words.setdefault(current, [])
        else:
            words[current].append(part)
    plain = {word: clean("/".join(parts).strip("/ ")) for word, parts in words.items()}
    counterparty = [clean(part) for part in words.get("CNTP", [])]
    account = plain.get("IBAN") or (counterparty[0] if counterparty else "")
    name = plain.get("NAME") or (counterparty[2] if len(counterparty) > 2 else "")
    remittance = plain.get("USTD") or plain.get("REMI") or plain.get("")
    structured = plain.get("CUR") or plain.get("STRD") or None
    return Detail(
        end_to_end_id=_given(plain.get("EREF")),
        debtor=name or plain.get("BENM") or plain.get("ORDP") or None,
        debtor_account=account or None,
        remittance=remittance or None,
        structured_reference=structured,
        return_reason=plain.get("RTRN") or None,
    )


def _given(text: str | None) -> str | None:
    return None if text is None or text.upper() in _NOT_GIVEN else text
