"""A file of statements, read: whether it parses, whether it balances, and, once it is known what came before, whether it follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from sync.errors import DataError
from sync.ports import REJECT_SCHEMA, ControlTotal, Mapped
from sync.statements.collected import Collected
from sync.statements.exact import decimal_of
from sync.statements.facts import Facts, facts
from sync.statements.formats import collect
from sync.statements.model import Declared, Statement, Total
from sync.statements.owners import Owners
from sync.statements.reckoning import Sums, reckon, sums
from sync.statements.schema import Schemas
from sync.statements.summary import summarised
from sync.statements.verdicts import DAYS, Chain, Link, Reckoned, arithmetic, balances, chains, followed, in_order, plain, spans

_SHOWN = 50
_DIGITS = 10
_PART = "it may sum up more than is told one by one"
_DAYS_MAX = 100
_AMOUNT_LIMIT = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that parses and balances."""

    facts: Facts
    reckoned: Sequence[Reckoned]
    totals: tuple[ControlTotal, ...]
    fields_seen: Mapping[str, str]

    def mapped(self, chain: Chain, *, sequences: bool = True) -> Mapped:
        """The file in canonical words, with its verdicts against `chain`. A statement that does not follow lands, and a reject of its
        own tells a person what is missing. `sequences`: whether a gap in the statements' numbers counts.
        """
        moving: Chain = chain
        linked: list[tuple[Reckoned, Link]] = []
        for one in in_order(self.reckoned):
            linked += [(one, link) for link in chains(one, moving, sequences=sequences)]
            moving = followed(moving, [one])
        broken = [(one, link) for one, link in linked if not link.total.agree]
        return Mapped(
            records=self.facts.records + len(broken),
            frames=self.facts.frames,
            rejects=pl.DataFrame([self._break(n, one, link) for n, (one, link) in enumerate(broken)], schema=REJECT_SCHEMA),
            control_totals=(*self.totals, *(link.total for _, link in linked), *(span for one in self.reckoned for span in spans(one))),
            fields_seen=self.fields_seen,
        )

    def followed(self, chain: Chain) -> dict[str, Mapping[str, str]]:
        """What the next statement of each account has to follow."""
        return followed(chain, in_order(self.reckoned))

    def _break(self, number: int, one: Reckoned, link: Link) -> dict[str, object]:
        """A record of its own behind the file's last: it lands nowhere, for what does not follow lands all the same."""
        total = link.total
        evidence: dict[str, object] = {
            "statement": one.statement, "account": one.account, "last": dict(link.last), "date": str(one.closing_date),
            "currency": total.currency or one.currency,
        }  # fmt: skip
        amount: Decimal | None = None
        if total.verdict == "chains":
            amount = (total.computed_amount or Decimal(0)) - (total.declared_amount or Decimal(0))
            evidence |= {
                "last_closing": plain(total.declared_amount, total.currency),
                "opening": plain(total.computed_amount, total.currency),
                "off_by": plain(amount, total.currency),
            }
            opening, last = (plain(each, total.currency) for each in (total.computed_amount, total.declared_amount))
            words = f"it opens with {opening} {total.currency}, the last closing balance is {last}"
        else:
            evidence |= {"expected": total.declared_count, "sequence": total.computed_count}
            words = f"its number is {total.computed_count}, the next would be {total.declared_count}"
        return {
            "ordinal": self.facts.records + number,
            "entity": "bank_balance",
            "source_key": f"{one.account}|{total.verdict}|{one.closing_date}|{one.statement}",
            "cause": "balance_chain",
            "field": "opening_booked" if total.verdict == "chains" else "sequence",
            "message": f"statement {one.subject}: {words}; a statement is missing between the two",
            "evidence": json.dumps(evidence, default=str),
            "customer_key": None,
            "amount": amount,
            "currency": total.currency,
        }


def read(body: bytes, owners: Owners, *, received: datetime | None = None, schemas: Schemas | None = None) -> Reading:
    """Reads a file of statements, camt.052/053/054, MT940, MT942 or BAI2 by its content.

    `received` (UTC) bounds the stamps of formats that have only days. Raises DataError where the file as a whole can't be believed, each
    cause with its evidence: file_unreadable, bad_amount, bad_currency, bad_date, bad_time, bad_value; control_total where a count or sum
    of the file differs; balance_mismatch where a statement does not balance. Nothing is ever adjusted.
    """
    collected = collect(body)
    entries, parts = collected.frames()
    found = sums(entries)
    reckoned = reckon(collected, found)
    totals = _judged(collected, reckoned, found)
    made = facts(collected, reckoned, entries, parts, owners, received)
    if schemas is not None:
        totals = [*totals, *schemas.check(body, [statement.format for statement in collected.statements])]
    seen = {name: "text" for statement in collected.statements for name in statement.elements}
    return Reading(made, reckoned, tuple(totals), seen)


def _judged(collected: Collected, reckoned: Sequence[Reckoned], found: Sums) -> list[ControlTotal]:
    """The verdicts of the file by itself; raises DataError with all of them where one says no."""
    totals: list[ControlTotal] = [_control(total) for total in collected.totals]
    refusals: list[tuple[str, str, dict[str, object]]] = [
        ("control_total", f"{each.subject}: {_difference(each)}", {"subject": each.subject, **_numbers(each)})
        for each in collected.totals
        if not each.agree
    ]
    for at, (statement, one) in enumerate(zip(collected.statements, reckoned, strict=True)):
        totals.append(ControlTotal(f"{one.subject}: {statement.format}, {one.entries} entries", "parses", agree=True))
        if one.pending:
            totals.append(ControlTotal(f"{one.subject}: {one.pending} entries not booked yet", "pending", agree=True))
        about = {"statement": one.statement, "account": one.account, "format": statement.format}
        for each, may_be_part in _declared(at, statement, found):
            excuse = None if each.agree else _PART if may_be_part else _excuse(statement, one)
            if excuse is not None:
                totals.append(ControlTotal(f"warning: {each.subject}: {_difference(each)}; {excuse}", "totals", agree=True))
                continue
            totals.append(_control(each))
            if not each.agree:
                refusals.append(("control_total", f"{each.subject}: {_difference(each)}", {**about, **_numbers(each)}))
        for total, pair in zip(balances(one), [p for p in one.pairs if p.opening is not None and p.closing is not None], strict=False):
            totals.append(total)
            if not total.agree:
                evidence = arithmetic(pair)
                words = f"statement {one.statement or '?'} of account {one.account}: opening plus entries differs from closing by"
                refusals.append(("balance_mismatch", f"{words} {evidence['off_by']} {pair.currency}", {**about, **evidence}))
    if refusals:
        cause, words, told = next((each for each in refusals if each[0] == "balance_mismatch"), refusals[0])
        others = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        shown = [_shown(total) for total in sorted(totals, key=lambda total: total.agree)[:_SHOWN]]
        raise DataError(words + others, cause=cause, evidence={**told, "verdicts": shown, **_days(reckoned)})
    return totals


def _days(reckoned: Sequence[Reckoned]) -> dict[str, object]:
    """By which days of which accounts it can be told that all of the file has come well since; nothing where that can't be told."""
    found = [[span.subject for span in spans(one)] for one in reckoned]
    days = list(dict.fromkeys(subject for each in found for subject in each))
    return {DAYS: days} if days and all(found) and len(days) <= _DAYS_MAX else {}


def _excuse(statement: Statement, one: Reckoned) -> str | None:
    """Why a camt summary that differs refuses nothing; None where it is the only proof of the entries."""
    if not statement.format.startswith("camt."):
        return None
    found = [total.agree for total in balances(one)]
    if found:
        return "the balances prove the entries" if all(found) else None
    return None if statement.page is None else "it may count the whole statement, of which this is a page"


def _declared(at: int, statement: Statement, found: Sums) -> list[tuple[Total, bool]]:
    """What the statement says of its entries' number and sum, against them, and whether it may speak of more than its entries: a BAI2 bank
    sums everything up and tells one by one what was agreed. Where it tells nothing, there is nothing to compare.
    """
    if statement.format.startswith("camt."):
        return [(total, False) for total in summarised(at, statement, found)]
    made: list[tuple[Total, bool]] = []
    for each in statement.declared:
        total, count = found.sides.get((at, each.direction or ""), (Decimal(0), 0))
        if statement.format == "BAI2" and not count:
            continue
        told = int(each.count) if each.count and each.count.isascii() and each.count.isdigit() and len(each.count) < _DIGITS else None
        declared_count = None if statement.format == "BAI2" else told
        amount = _exact(each, statement)
        side = "credits" if each.direction == "CRDT" else "debits"
        made.append((
            Total(f"{side} of {statement.subject}", "totals", each.currency or None, declared_count,
                  count if declared_count is not None else None, amount, total if amount is not None else None),
            statement.format == "BAI2" and (told is None or told > count),
        ))  # fmt: skip
    return made


def _exact(declared: Declared, statement: Statement) -> Decimal | None:
    return None if declared.amount is None else decimal_of(declared.amount, declared.currency, statement)


def _control(total: Total) -> ControlTotal:
    """As it is kept. A file's total over several currencies can be larger than any amount; then only its agreement is kept."""
    fits = all(each is None or abs(each) < _AMOUNT_LIMIT for each in (total.declared_amount, total.computed_amount))
    amounts = (total.declared_amount, total.computed_amount) if fits else (None, None)
    return ControlTotal(total.subject, total.verdict, total.agree, total.currency, total.declared_count, total.computed_count, *amounts)


def _numbers(total: Total) -> dict[str, object]:
    named = {
        "declared_count": total.declared_count,
        "computed_count": total.computed_count,
        "declared_amount": total.declared_amount,
        "computed_amount": total.computed_amount,
        "currency": total.currency,
    }
    found: dict[str, object] = {
        name: plain(value, total.currency) if isinstance(value, Decimal) else value for name, value in named.items() if value is not None
    }
    if total.declared_amount is not None and total.computed_amount is not None:
        found["off_by"] = plain(total.declared_amount - total.computed_amount, total.currency)
    return found


def _difference(total: Total) -> str:
    said: list[str] = []
    if total.declared_count != total.computed_count:
        said.append(f"it says {total.declared_count} records, there are {total.computed_count}")
    if total.declared_amount != total.computed_amount:
        said.append(f"it says {plain(total.declared_amount, total.currency)}, the sum is {plain(total.computed_amount, total.currency)}")
    return "; ".join(said)


def _shown(total: ControlTotal) -> dict[str, object]:
    found: dict[str, object] = {"subject": total.subject, "verdict": total.verdict, "agree": total.agree}
    if total.declared_amount is not None:
        found |= {
            "declared": plain(total.declared_amount, total.currency),
            "computed": plain(total.computed_amount, total.currency),
            "currency": total.currency,
        }
    return found
