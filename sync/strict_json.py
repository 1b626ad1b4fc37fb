"""JSON without the leniencies that lose money: floats as Decimal from their text, no NaN, no key twice."""

from __future__ import annotations

import json
from decimal import Decimal, DecimalException
from typing import Any


class NotStrict(ValueError):
    """The text is no strict JSON; the message says why and quotes no more than a key or a constant."""


class TwinKey(NotStrict):
    """An object holds the same key twice; `args[0]` says which."""


def loads(body: bytes | str) -> Any:
    """The JSON value of `body`; raises NotStrict for NaN, infinities, a key that stands twice, or no JSON at all."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=no_twins)
    except NotStrict:
        raise
    except DecimalException:
        raise NotStrict("a number's exponent is beyond what can be counted with") from None
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise NotStrict(f"no JSON: {error}" if isinstance(error, json.JSONDecodeError) else "no JSON in UTF-8") from None


def loosely(body: bytes) -> Any:
    """What can be made out of a value that is refused, to name it and to go on after it: of a twin key the last, NaN as nothing, numbers
    that are no count as text; None where it is no JSON.
    """
    try:
        return json.loads(body, parse_float=str, parse_int=_count, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _count(number: str) -> int | str:
    return int(number) if len(number) < 20 else number  # Python refuses a number of thousands of digits


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members, for `object_pairs_hook`; raises TwinKey when a key stands twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise TwinKey(f"the key {twin} stands twice")
    return members


def _no_constant(name: str) -> Any:
    raise NotStrict(f"{name} is no JSON number")
