"""A bank's end-of-day statement as MT940, in SWIFT's envelope and with the German ?20 fields."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from sandbox.world.camt import amount_text
from sandbox.world.model import BankLine
from sandbox.world.reference import BankAccount

BUSINESS = {"RCDT": ("NTRF", "166"), "ICDT": ("NTRF", "116"), "RRTN": ("NRTI", "109")}
WIDTH = 65
FIELD = 27


def render_mt940(
    account: BankAccount, sequence: int, day: date, *, opening: Decimal, closing: Decimal, lines: Sequence[BankLine], part: str = "001"
) -> bytes:
    """The statement of one account and day. Opening plus lines is closing; the caller sees to it that days chain."""
    before = day - timedelta(days=3 if day.weekday() == 0 else 1)
    head = f"{{1:F01{account.bic:X<12}0000000000}}{{2:O9400200{day:%y%m%d}{account.bic:X<12}0000{sequence:06d}{day:%y%m%d}0200N}}{{4:"
    fields = [
        f":20:{account.code}-{day:%y%m%d}", f":25:{account.iban or account.number}", f":28C:{sequence:05d}/{part}",
        f":60F:{mt_balance(opening, account.currency, before)}", *(field for line in lines for field in _line(line, account.currency)),
        f":62F:{mt_balance(closing, account.currency, day)}",
    ]  # fmt: skip
    return "\r\n".join([head, *fields, "-}", ""]).encode("cp1252")


def mt_balance(amount: Decimal, currency: str, day: date) -> str:
    """`C260302EUR1200,00`."""
    return f"{'D' if amount < 0 else 'C'}{day:%y%m%d}{currency}{mt_amount(amount, currency)}"


def mt_amount(amount: Decimal, currency: str) -> str:
    """The amount without its sign, its decimals behind a comma, which is there also where there are none."""
    text = amount_text(amount, currency)
    return text.replace(".", ",") if "." in text else text + ","


def _line(line: BankLine, currency: str) -> list[str]:
    kind, business = BUSINESS[line.code]
    said = "INV " + line.structured if line.structured else line.remittance
    purpose = f"EREF+{line.end_to_end} SVWZ+{said}" + (f" RETURN {line.return_reason}" if line.return_reason else "")
    parts = [purpose[at : at + FIELD] for at in range(0, len(purpose), FIELD)][:10]
    name = line.counterparty.replace("?", " ")
    text = f"{business}?00{'RUECKBUCHUNG' if line.return_reason else 'GUTSCHRIFT'}"
    text += (
        "".join(f"?{20 + at}{part}" for at, part in enumerate(parts))
        + f"?32{name[:FIELD]}"
        + (f"?33{name[FIELD:]}" if name[FIELD:] else "")
    )
    wrapped = [text[at : at + WIDTH] for at in range(0, len(text), WIDTH)]
    mark = "D" if line.amount < 0 else "C"
    first = f":61:{line.value_date:%y%m%d}{line.booked:%m%d}{mark}{mt_amount(line.amount, currency)}{kind}NONREF//{line.reference}"
    return [first, ":86:" + wrapped[0], *wrapped[1:]]
