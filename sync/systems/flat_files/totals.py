"""What a file says of itself against what is in it: count, signed sums per currency, digest, sequence. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from db.money import currencies
from sync import strict_json
from sync.declared.columns import expression
from sync.declared.declaration import Column
from sync.declared.records import raw
from sync.errors import DataError
from sync.ports import ControlTotal
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.wire import Table, unreadable


@dataclass(frozen=True, slots=True)
class Declared:
    """One voice about the file: its trailer or its manifest."""

    voice: str
    records: int | None
    sums: Mapping[str, Decimal]


def manifest(body: bytes, text: str | None, kind: FileKind) -> Declared | None:
    """What the manifest says; DataError when it is no manifest, or when its digest is of other bytes."""
    if kind.manifest is None or text is None:
        return None
    try:
        document = strict_json.loads(text.removeprefix("\ufeff"))
        digest = document.get(kind.manifest.sha256)
        records = document.get(kind.manifest.records)
        sums = {str(c): _amount(v) for c, v in (document.get(kind.manifest.totals) or {}).items()}
        told = Declared("manifest", None if records is None else _whole(str(records)), sums)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise unreadable(f"the manifest can't be read: {error}", manifest=text[:400]) from error
    found = hashlib.sha256(body).hexdigest()
    if digest is not None and str(digest).strip().lower() != found:
        raise DataError(
            "the file's bytes are not those of its manifest", cause="control_total",
            evidence={"verdict": "sha256", "declared": str(digest), "computed": found},
        )  # fmt: skip
    return told


def trailer(table: Table, kind: FileKind) -> Declared | None:
    """What the trailer says; DataError when its numbers can't be read."""
    if kind.trailer is None:
        return None
    count = table.trailer.get("records")
    try:
        records = None if count is None else _whole(count)
    except ValueError as error:
        raise unreadable(f"the trailer's count {error}", trailer=dict(table.trailer)) from error
    names = [currency for currency, _ in table.sums]
    if len(set(names)) != len(names):
        raise unreadable("the trailer has two sums of one currency", sums=list(table.sums))
    texts = pl.DataFrame({"text": [value for _, value in table.sums]}, schema={"text": pl.String})
    like = kind.columns[kind.totals.amount] if kind.totals else Column(type="amount")
    parsed = texts.select(expression(pl.col("text"), like, kind, None)).to_series()
    if parsed.null_count():
        raise unreadable("a sum in the trailer is no amount", sums=list(table.sums))
    return Declared("trailer", records, dict(zip(names, parsed.to_list(), strict=True)))


def _whole(text: str) -> int:
    """A count of records; ValueError for anything but digits."""
    if not re.fullmatch(r"[0-9]{1,15}", text.strip()):
        raise ValueError(f"{text[:40]!r} is no number of records")
    return int(text)


def _amount(given: object) -> Decimal:
    """A sum of a manifest, number or text; ValueError for what is no finite amount."""
    found = Decimal(str(given).strip())
    if isinstance(given, bool) or not found.is_finite():
        raise ValueError(f"{str(given)[:40]!r} is no amount")
    return found


def checked(name: str, table: Table, typed: pl.DataFrame, kind: FileKind, voices: list[Declared]) -> tuple[ControlTotal, ...]:
    """The verdicts over the file; a further voice is heard when it objects. Raises DataError (control_total), with both sides as evidence, when one disagrees.

    A sum is not refuted, only unproven, when a line's amount or currency can't be read, or when exactly the difference stands
    under codes that are no currency: the verdict says `agree` false, those lines become rejects, and the others land.
    """
    computed, unread = sums(typed, kind)
    unread = unread or table.broken.height > 0
    verdicts = [_count(name, table, voice) for voice in voices if voice.records is not None]
    wrong = [verdict for verdict in verdicts if not verdict.agree]
    if not verdicts:
        verdicts.append(ControlTotal(name, "record_count", agree=True, computed_count=table.records))
    verdicts = _once(verdicts)
    told = [voice for voice in voices if voice.sums]
    for place, voice in enumerate(told):
        of_voice = _sums_of(name, voice, computed)
        verdicts += [verdict for verdict in of_voice if place == 0 or not verdict.agree]
        if not (unread or _explained(voice, computed)):
            wrong += [verdict for verdict in of_voice if not verdict.agree]
    if not told:
        verdicts += [
            ControlTotal(name, "amount", agree=True, currency=currency, computed_amount=found)
            for currency, found in sorted(computed.items())
        ]
    if wrong:
        raise DataError(
            f"{name}: " + "; ".join(_words(verdict) for verdict in wrong), cause="control_total",
            evidence={"totals": [_evidence(verdict) for verdict in verdicts]},
        )  # fmt: skip
    return tuple(verdicts)


def _once(verdicts: list[ControlTotal]) -> list[ControlTotal]:
    """The first verdict, and of further voices only what they object: a count that two voices confirm is still one count."""
    return [verdict for place, verdict in enumerate(verdicts) if place == 0 or not verdict.agree]


def _sums_of(name: str, voice: Declared, computed: Mapping[str, Decimal]) -> list[ControlTotal]:
    """One verdict per currency that the voice names or the lines hold."""
    return [
        ControlTotal(
            name, f"{voice.voice}_amount", voice.sums.get(currency) == computed.get(currency, Decimal(0)),
            currency=currency, declared_amount=voice.sums.get(currency), computed_amount=computed.get(currency, Decimal(0)),
        )
        for currency in sorted({*voice.sums, *computed})
    ]  # fmt: skip


def _explained(voice: Declared, computed: Mapping[str, Decimal]) -> bool:
    """Whether what is missing from the declared currencies is exactly what stands under codes that are no currency: then single lines
    carry a wrong code, which makes them rejects, and the file itself is whole. A true currency that the voice does not know would land.
    """
    unknown = [currency for currency in computed if currency not in voice.sums]
    if not currencies().isdisjoint(unknown):
        return False
    strange = [computed[currency] for currency in unknown]
    missing = sum((declared - computed.get(c, Decimal(0)) for c, declared in voice.sums.items()), Decimal(0))
    return bool(strange) and missing == sum(strange)


def _count(name: str, table: Table, voice: Declared) -> ControlTotal:
    return ControlTotal(
        name, f"{voice.voice}_count", voice.records == table.records,
        declared_count=voice.records, computed_count=table.records,
    )  # fmt: skip


def sums(typed: pl.DataFrame, kind: FileKind) -> tuple[dict[str, Decimal], bool]:
    """(signed sum per currency of the lines whose amount can be read, whether some line's amount or currency can't)."""
    if kind.totals is None:
        return {}, False
    currency = pl.lit(kind.totals.currency) if kind.totals.currency else pl.col(kind.totals.currency_column or "")
    value = pl.col(kind.totals.amount)
    of_line = typed.select(currency=currency, amount=value, given=pl.col(raw(kind.totals.amount)).is_not_null())
    by = of_line.filter(pl.col("amount").is_not_null() & pl.col("currency").is_not_null())
    # Int128 units of 0.0001: exact, and no sum of 19-digit amounts overflows it.
    summed = by.group_by("currency").agg(pl.col("amount").cast(pl.Decimal(38, 4)).sum()).sort("currency")
    unread = of_line.filter((pl.col("given") & pl.col("amount").is_null()) | pl.col("currency").is_null()).height > 0
    return dict(zip(summed["currency"].to_list(), summed["amount"].to_list(), strict=True)), unread


def _words(verdict: ControlTotal) -> str:
    if verdict.currency is not None:
        return f"{verdict.verdict} {verdict.currency}: declared {verdict.declared_amount}, in the file {verdict.computed_amount}"
    return f"{verdict.verdict}: declared {verdict.declared_count}, in the file {verdict.computed_count}"


def _evidence(verdict: ControlTotal) -> dict[str, object]:
    return {
        "verdict": verdict.verdict, "agree": verdict.agree, "currency": verdict.currency,
        "declared_count": verdict.declared_count, "computed_count": verdict.computed_count,
        "declared_amount": None if verdict.declared_amount is None else str(verdict.declared_amount),
        "computed_amount": None if verdict.computed_amount is None else str(verdict.computed_amount),
    }  # fmt: skip
