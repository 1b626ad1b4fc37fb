"""Salesforce's shapes: which object and fields a stream reads, its queries, its errors, its limit header."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sync.canonical.contracts import Customer, Opportunity, SalesContract, SalesOrder
from sync.errors import AuthError, DataError, PermanentError, QuotaError, SourceError, TransientError
from sync.http import Answer, excerpt
from sync.strict_json import NotStrict, loads
from sync.systems.salesforce.settings import Settings

STAMP = "SystemModstamp"
FIELDS_HEADER = "x-tidegate-fields"
"""The fields that were asked for travel with the page: one that is missing from a record is then known to be gone."""
_LIMIT = re.compile(r"(?:^|[;,])\s*api-usage=(\d+)/(\d+)")
_STAMPS = re.compile(rb'"SystemModstamp"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:\+00:?00|Z))"')
_LASTING_401 = ("not valid for use with the REST API", "Connected app is not attached to Agent")
_TRANSIENT = {"SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION", "REQUEST_RUNNING_TOO_LONG"}
_AUTH = {"INVALID_LOGIN", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INVALID_AUTH_HEADER", "OAUTH_APP_ACCESS_DENIED"}


class SessionExpired(AuthError):
    """The token is no longer good; a new one may be."""


class RowLocked(TransientError):
    """Somebody else is writing the record (UNABLE_TO_LOCK_ROW); nothing was done."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stream reads: `required` fields must be visible, `wanted` ones are read where the org has them."""

    stream: str
    object: str
    entity: str
    required: tuple[str, ...]
    wanted: tuple[str, ...]
    related: tuple[str, ...] = ()
    """Fields of parents, as paths; the lookup they go over is required."""

    def chosen(self, visible: Collection[str]) -> tuple[str, ...]:
        """The fields to select; DataError `schema_drift` when a required one is gone or was never made visible to us."""
        missing = [name for name in self.required if name not in visible]
        if missing:
            raise DataError(
                f"{self.object} shows no field {', '.join(missing)}: give the integration user read access to it, or name it in the options",
                cause="schema_drift",
                evidence={"object": self.object, "missing": missing},
            )
        return (*self.required, *(name for name in self.wanted if name in visible), *self.related)


def readings(settings: Settings) -> dict[str, Reading]:
    """The streams by name, in the order in which they should be pulled first."""
    names = settings.fields
    base = ("Id", STAMP, "IsDeleted")
    streams = [
        Reading(
            "accounts", "Account", Customer.entity, (*base, "Name"),
            ("AccountNumber", "ParentId", "BillingCountryCode", "BillingCountry", "MasterRecordId", "OwnerId", "Type",
             names.erp_number, names.account_owner, names.account_segment),
        ),
        Reading(
            "opportunities", "Opportunity", Opportunity.entity, (*base, "AccountId", "StageName", "CloseDate"),
            ("Name", "Amount", "CurrencyIsoCode", "Probability", "IsClosed", "IsWon", names.legal_entity),
        ),
        Reading(
            "contracts", "Contract", SalesContract.entity,
            (*base, "ContractNumber", "AccountId", "StatusCode", names.contract_value),
            ("StartDate", "EndDate", "ActivatedDate", "CurrencyIsoCode", names.contract_opportunity, names.legal_entity),
        ),
    ]  # fmt: skip
    if settings.orders_as != "none":
        streams.append(
            Reading(
                "orders", "Order", SalesOrder.entity,
                (*base, "OrderNumber", "AccountId", "ContractId", "StatusCode", "TotalAmount"),
                ("EffectiveDate", "CurrencyIsoCode", "ActivatedDate", names.legal_entity), ("Contract.ContractNumber",),
            )
        )  # fmt: skip
    return {reading.stream: reading for reading in streams}


def soql(reading: Reading, fields: Collection[str], since: datetime | None) -> str:
    """The query for everything changed at or after `since` (None: everything), oldest change first; deleted ones come with queryAll."""
    where = "" if since is None else f" WHERE {STAMP} >= {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"SELECT {', '.join(fields)} FROM {reading.object}{where} ORDER BY {STAMP}, Id"


def newest_stamp(body: bytes) -> datetime | None:
    """The newest SystemModstamp of a page, UTC; None when it holds no readable one."""
    newest: datetime | None = None
    for text in set(_STAMPS.findall(body)):
        try:
            stamp = datetime.fromisoformat(text.decode().replace("+0000", "+00:00"))
        except ValueError:
            continue
        newest = stamp if newest is None or stamp > newest else newest
    return newest


def limit_of(header: str | None) -> tuple[int, int] | None:
    """(used, limit) from Sforce-Limit-Info in any of its forms; None when it says nothing of the org's calls."""
    found = _LIMIT.search(header or "")
    return (int(found[1]), int(found[2])) if found else None


def explain(answer: Answer) -> SourceError | None:
    """The error that the org's own words mean; None where it has none (empty, HTML and XML bodies are the status's to judge)."""
    try:
        said = loads(answer.body)
    except NotStrict:
        return TransientError(f"{answer.place}: answered 406", status=406) if answer.status == 406 else None
    if isinstance(said, dict):
        return _login_refused(answer, said) if "error" in said else None
    if not isinstance(said, list) or not said or not isinstance(said[0], dict):
        return None
    code = str(said[0].get("errorCode", ""))
    message = " ".join(str(said[0].get("message", "")).split())[:300]
    return _error(answer, code, f"{answer.place}: {code}: {message}", message)


def _error(answer: Answer, code: str, words: str, message: str) -> SourceError | None:
    status = answer.status
    if status == 401:
        lasting = any(phrase in message for phrase in _LASTING_401)
        return AuthError(words, status=status) if lasting or code != "INVALID_SESSION_ID" else SessionExpired(words, status=status)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return QuotaError(words, status=status)
    if code == "UNABLE_TO_LOCK_ROW":
        return RowLocked(words, status=status)
    if code in _TRANSIENT:
        return TransientError(words, status=status)
    if code in _AUTH:
        return AuthError(words, status=status)
    if 400 <= status < 500 and status not in (406, 408, 412, 420, 428, 429):
        return PermanentError(words, status=status)
    return None


def _login_refused(answer: Answer, said: dict[str, Any]) -> SourceError:
    words = f"{answer.place}: {said.get('error')}: {said.get('error_description') or 'no reason given'}"
    return AuthError(words[:400], status=answer.status) if answer.status < 500 else TransientError(words[:400], status=answer.status)


def several_fit(answer: Answer) -> str:
    """The words for a 300: more than one record has the external id."""
    return f"{answer.place}: more than one record has this number: {excerpt(answer.body, 200)}"
