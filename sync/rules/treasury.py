"""What treasury may expect, and when: the flows to post so that its forecast says what we know now.

Treasury's cash flows are added, not edited: a change is the reversal of what was said, and the new word beside it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

from sync.rules.facts import ZERO, Effect, Fact


class Flow(Fact, frozen=True, kw_only=True):
    """The cash that a subject (an order, an invoice) should bring, and when."""

    subject: str
    amount: Decimal
    currency: str
    expected_date: date
    description: str
    company: str | None = None


class Published(Fact, frozen=True, kw_only=True):
    """A flow that the ledger holds already, whether or not treasury has confirmed it yet."""

    subject: str
    amount: Decimal
    currency: str
    expected_date: date


def adjust(published: tuple[Published, ...], wanted: Flow) -> tuple[Effect, ...]:
    """The postings that bring treasury from `published` to `wanted`; none when it says so already. Amount zero withdraws."""
    said: dict[tuple[date, str], Decimal] = defaultdict(lambda: ZERO)
    count = 0
    for flow in published:
        if flow.subject == wanted.subject:
            said[(flow.expected_date, flow.currency)] += flow.amount
            count += 1
    place = (wanted.expected_date, wanted.currency)
    postings = []
    for (day, currency), amount in sorted(said.items()):
        if (day, currency) != place and amount != 0:
            postings.append((day, currency, -amount, "withdrawn"))
    rest = wanted.amount - said.get(place, ZERO)
    if rest != 0:
        postings.append((wanted.expected_date, wanted.currency, rest, "expected" if not count else "updated"))
    return tuple(_posting(wanted, count + step, posting) for step, posting in enumerate(postings, start=1))


def _posting(wanted: Flow, number: int, posting: tuple[date, str, Decimal, str]) -> Effect:
    day, currency, amount, word = posting
    return Effect(
        kind="publish_forecast",
        object_key=wanted.subject,
        subject=wanted.subject,
        version=str(number),
        payload={
            "amount": plain(amount),
            "currency": currency,
            "expected_date": day.isoformat(),
            "description": f"{wanted.description} ({word})",
            "company": wanted.company,
        },
    )


def plain(amount: Decimal) -> str:
    """The amount as text without padding zeros: what a currency without decimals, such as JPY, expects."""
    return f"{amount.normalize():f}"
