"""`connections test` of a tenant: address, credentials, clocks, and of every stream its permission, its fields and a first page, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from urllib.parse import urlsplit
from uuid import uuid4

from sync.clock_skew import clock_finding
from sync.errors import AuthError, SourceError
from sync.http import wall_clock
from sync.ports import Finding, Mapped, Page, Source
from sync.systems.kyriba.client import Session
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.tasks import GONE, Tasks

NEEDED: Mapping[str, Collection[str]] = {
    "accounts": ("code", "company", "currency"),
    "balances": ("amount", "currencyCode"),
    "bank_balances": ("bankBalance",),
    "cash_flows": ("uuid", "status", "account", "flowAmount"),
    "transfers": ("uuid", "status"),
}
"""The fields without which a stream's records can't be understood. Dates are left out: they stand in more than one place."""
FUNCTIONS: Mapping[str, str] = {
    "accounts": "Accounts (read)",
    "balances": "Cash Balances (read)",
    "bank_balances": "Bank Statement Balances (read)",
    "cash_flows": "Cash Flows (read; write to publish forecasts)",
    "transfers": "Payment Transfers Status (read)",
    "statements": "Process Templates (run, status, files)",
}
"""What to ask the tenant's administrator for: the APIs as the developer portal's catalogue calls them."""


def probe(source: Source, session: Session, settings: Settings, *, now: datetime) -> Iterator[Finding]:
    """One line for each thing that was tried. Where the login fails the rest is left out. `now`: business time, UTC."""
    yield _address(settings)
    try:
        token = session.login()
        answered = wall_clock()
    except SourceError as error:
        yield Finding("credentials", ok=False, words=_login_failed(error, settings))
        return
    left = "for as long as it says nothing" if token.seconds is None else f"with {token.seconds:.0f} s left"
    yield Finding("credentials", ok=True, words=f"{settings.auth_url} gave a token {left}")
    yield clock_finding(token.headers, wall=answered)
    for stream in source.streams():
        yield _templates(session, settings) if stream.name == "statements" else _first_page(source, stream.name, now)


def _address(settings: Settings) -> Finding:
    api, token = urlsplit(settings.base_url), urlsplit(settings.auth_url)
    style = "one host" if api.netloc == token.netloc else "two hosts"
    usual = api.path.endswith("/api") and token.path.endswith("/oauth/token")
    words = f"{style}: {settings.base_url}, token from {settings.auth_url}"
    if not usual:
        words += "; unusual: Kyriba's own are .../gateway/api with .../gateway/oauth/token, or api.../api with auth.../oauth/token"
    return Finding("address", ok=True, words=words)


def _login_failed(error: SourceError, settings: Settings) -> str:
    if error.status == 404:
        return f"{error.detail}: {settings.auth_url} is not where tokens are given; set auth_url"
    if isinstance(error, AuthError):
        return f"{error.detail}: check client_id and client_secret, and that the client is active for this environment"
    return error.detail


def _first_page(source: Source, stream: str, now: datetime) -> Finding:
    what = f"{stream} first page"
    try:
        pulled = source.pull(stream, {"through": now.date().isoformat(), "since": now.isoformat()}, now=now)
        page = next((item for item in pulled if isinstance(item, Page)), None)
        if page is None:
            return Finding(what, ok=False, words="the tenant lists no account for this user: widen the API user's data profile")
        mapped = source.map(stream, page)
    except SourceError as error:
        return Finding(what, ok=False, words=_refused(stream, error))
    return _judged(what, stream, mapped)


def _refused(stream: str, error: SourceError) -> str:
    if error.status in (403, 404):
        return f"{error.detail}; needed: {FUNCTIONS[stream]}. If it is not to be read, set streams.{stream}.enabled = false"
    return error.detail


def _judged(what: str, stream: str, mapped: Mapped) -> Finding:
    if not mapped.records:
        return Finding(what, ok=True, words="may be read; there is no record to look at yet")
    absent = [name for name in NEEDED[stream] if name not in mapped.fields_seen]
    bad = mapped.rejects.height
    words = f"{mapped.records} records read, {bad} could not be mapped"
    if bad:
        words += f": {mapped.rejects['message'][0]}"
    if absent:
        words += f"; fields missing: {', '.join(absent)}"
    return Finding(what, ok=not bad, words=words)


def _templates(session: Session, settings: Settings) -> Finding:
    """A run would start an export, and may mark what it exports: only whether tasks may be asked for is tried, with one that can't exist."""
    what, codes = "statements process templates", ", ".join(settings.statement_templates)
    try:
        status, _ = Tasks(session).status(str(uuid4()))
    except SourceError as error:
        return Finding(what, ok=False, words=_refused("statements", error))
    known = "may be asked for" if status == GONE else f"answer {status} for a task that can't exist"
    return Finding(what, ok=True, words=f"tasks {known}; {codes} are proven by the first pull only, for a run starts an export")
