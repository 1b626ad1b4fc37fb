"""What the next statement of each account has to follow: the newest closing balance of those that balance."""

from __future__ import annotations

from collections.abc import Mapping

from sync.errors import DataError
from sync.statements.camt import statements
from sync.statements.facts import reckon
from sync.statements.verdicts import balances, newest

Chain = Mapping[str, Mapping[str, str]]
"""Account -> its newest closing balance, as JSON-able text: part of a cursor."""


def followed(chain: Chain, body: bytes) -> Chain:
    """The chain after the statements of `body`; a file that can't be read, or a statement that does not balance, moves nothing."""
    try:
        reckoned = [reckon(statement) for statement in statements(body)]
    except DataError:
        return dict(chain)
    balanced = [one for one in reckoned if (verdict := balances(one)) is None or verdict.agree]
    return newest(chain, balanced)
