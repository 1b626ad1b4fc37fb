"""Lookups by business number: the same question gives the same shape whatever system the answer came from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from app.api import tokens
from app.api.answers import customer_exposure, customer_receivables, invoice_answers
from app.desk import Person
from app.live import LiveDesk
from app.office import Office
from db.engine import Scope, reading

router = APIRouter(prefix="/v1", tags=["lookups"], responses={401: {"description": "No token, or not a living one."},
                                                              403: {"description": "The token lacks the scope."},
                                                              404: {"description": "No such number in the token's regions."}})  # fmt: skip
T = TypeVar("T")
_bearer = HTTPBearer(auto_error=False, description="A token made with `tidegate token create`.")


class Money(BaseModel):
    """An exact amount: the decimal as text, so that no reader turns it into a float unasked."""

    amount: Decimal
    currency: str


class Provenance(BaseModel):
    """Where a figure comes from and when it was known."""

    source: str
    changed_at: datetime = Field(description="The source system's stamp, UTC.")
    recorded_at: datetime = Field(description="When Tidegate first committed this version, UTC.")
    raw_record_id: int


class Applied(BaseModel):
    """A payment, or a part of one, applied to an invoice."""

    amount: Money
    clearing_date: date
    payment: str | None
    reversed: bool


class Invoice(BaseModel):
    """An invoice with what was paid on it. `open` = gross - applied."""

    number: str
    order_number: str | None
    status: str
    customer_number: str | None
    customer_name: str | None
    legal_entity: str | None
    region: str
    issue_date: date
    due_date: date | None
    cleared_on: date | None
    gross: Money
    open: Money
    disputed: bool
    applications: list[Applied]
    provenance: Provenance


class Invoices(BaseModel):
    """Every invoice of that number in the token's regions: two companies may number alike."""

    number: str
    as_of: datetime
    invoices: list[Invoice]


class Bucket(BaseModel):
    """Open receivables of one age."""

    bucket: str
    amount: Money
    count: int


class Receivables(BaseModel):
    """What a customer owes, in the reporting currency, from the same read model as the pages."""

    number: str
    as_of: datetime
    customer_name: str | None
    open: Money
    overdue: Money
    open_count: int
    overdue_count: int
    aging: list[Bucket]
    median_days_to_pay: float | None


class Exposure(BaseModel):
    """A customer's exposure against its limit; `utilisation` is null where there is no valid limit, and `limit_state` says why."""

    number: str
    as_of: datetime
    customer_name: str | None
    exposure: Money
    limit: Money | None
    limit_state: str
    utilisation: Decimal | None
    open_orders: Money
    open_receivables: Money
    secured: Money
    breached: bool


class Hop(BaseModel):
    """One step of a journey; durations in seconds."""

    name: str
    system: str | None
    object: str | None
    occurred_at: datetime | date | None
    recorded_at: datetime | None
    business_seconds: float | None
    integration_seconds: float | None
    human_seconds: float | None
    is_gap: bool
    words: str


class Journey(BaseModel):
    """One transaction from quote to cash."""

    number: str
    title: str
    customer: str | None
    region: str | None
    hops: list[Hop]
    slowest: str | None


def _bearing(scope: str) -> Any:
    def find(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> tokens.Bearer:
        office: Office = request.app.state.office
        found = None
        if given is not None:
            with reading(office.database.engine) as conn:
                found = tokens.find(conn, given.credentials, wall_now=datetime.now(UTC))
        if found is None:
            raise HTTPException(401, "a living bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
        if scope not in found.scopes:
            raise HTTPException(403, f"this token lacks the scope {scope}")
        return found

    return Depends(find)


def _ask(request: Request, bearer: tokens.Bearer) -> tuple[Office, Scope]:
    office: Office = request.app.state.office
    return office, Scope(regions=bearer.regions, actor=f"api:{bearer.name}")


def _found(answer: T | None, number: str) -> T:
    if answer is None:
        raise HTTPException(404, f"nothing with the number {number} in this token's regions")
    return answer


@router.get("/invoices/{number}")
def invoice(number: str, request: Request, bearer: Annotated[tokens.Bearer, _bearing("invoices:read")]) -> Invoices:
    """An invoice by its number, with what was paid on it."""
    office, scope = _ask(request, bearer)
    with reading(office.database.engine, scope) as conn:
        found = invoice_answers(conn, number)
    return Invoices(
        number=number, as_of=office.clock.now(), invoices=[Invoice.model_validate(one) for one in _found(found or None, number)]
    )


@router.get("/customers/{number}/receivables")
def receivables(number: str, request: Request, bearer: Annotated[tokens.Bearer, _bearing("receivables:read")]) -> Receivables:
    """What a customer owes now, by age."""
    office, scope = _ask(request, bearer)
    now = office.clock.now()
    with reading(office.database.engine, scope) as conn:
        found = customer_receivables(conn, number, on=now.date(), currency=office.landscape.reporting_currency)
    return Receivables.model_validate({"number": number, "as_of": now, **_found(found, number)})


@router.get("/customers/{number}/exposure")
def exposure(number: str, request: Request, bearer: Annotated[tokens.Bearer, _bearing("exposure:read")]) -> Exposure:
    """A customer's exposure against its limit."""
    office, scope = _ask(request, bearer)
    with reading(office.database.engine, scope) as conn:
        found = customer_exposure(conn, number)
    return Exposure.model_validate({"number": number, "as_of": office.clock.now(), **_found(found, number)})


@router.get("/journeys/{number}")
def journey(number: str, request: Request, bearer: Annotated[tokens.Bearer, _bearing("journeys:read")]) -> Journey:
    """One transaction from quote to cash, by any number of it."""
    office, _ = _ask(request, bearer)
    desk = LiveDesk(office, Person(f"api:{bearer.name}", bearer.name, None, frozenset(), bearer.regions))
    return Journey.model_validate(_found(desk.journey(number), number), from_attributes=True)
