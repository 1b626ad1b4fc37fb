"""The org's webhook: Outbound Messages prove themselves by the organization's id, change events by the house's signature or a secret.

Nothing in a body is believed: it names records to read again. A door is made for one request, and answers in its sender's own form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qsl

from sync.connections import Connection
from sync.doors import Hint, Notice, Reply, SignedDoor, unreadable
from sync.signatures import SignatureRefused, among, sent
from sync.strict_json import loads
from sync.systems.salesforce import capture, outbound
from sync.systems.salesforce.wire import full_id
from sync.wire_salvage import elements

SECRET_HEADER = "x-tidegate-secret"  # noqa: S105 - the header's name
SECRET_PARAMETER = "secret"  # noqa: S105 - the parameter's name


class SalesforceDoor:
    """`organization`: the org's 18-character id, None while the connection names none. `streams`: object's API name -> stream."""

    def __init__(
        self, signed: SignedDoor, streams: Mapping[str, str], organization: str | None, *, secret_demanded: bool, client_name: str
    ) -> None:
        self._signed = signed
        self._streams = streams
        self._organization = organization
        self._secret_demanded = secret_demanded
        self._client_name = client_name
        self._soap = False

    def check(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime) -> None:
        """As Door.check. Outbound Messages: the right OrganizationId, and the shared secret where the connection demands one."""
        if not outbound.is_soap(headers.get("content-type", ""), body):
            self._check_json(headers, body, secrets, now)
            return
        if self._organization is None:
            raise SignatureRefused("an outbound message came, but the connection names no organization_id")
        try:
            organization = outbound.organization(body)
        except ValueError as error:
            raise SignatureRefused(f"no outbound message: {error}") from None
        if not among([organization.encode()], [self._organization.encode()]):
            raise SignatureRefused("the outbound message is another organization's")
        if self._secret_demanded:
            _check_secret(headers, secrets)

    def notices(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """One notice for each notification or changed record, and for each that can't be read; echoes of our own writes are none.

        Raises ValueError when a message holds no notification at all.
        """
        self._soap = outbound.is_soap(headers.get("content-type", ""), body)
        if self._soap:
            return [
                Notice(f"om:{each.id}", self._hints(each.object, each.record, known=each.record is not None), each.fault)
                for each in outbound.notifications(body)
            ]
        found = self._changes(body)
        return self._signed.notices(headers, body) if found is None else found

    def reply(self) -> Reply:
        """The acknowledgement that Salesforce waits for, or our own receipt."""
        return Reply(200, "text/xml", outbound.ACK) if self._soap else self._signed.reply()

    def kept(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """An Outbound Message without its session."""
        return outbound.without_session(body) if outbound.is_soap(headers.get("content-type", ""), body) else body

    def _hints(self, name: str, record: str | None, *, known: bool) -> tuple[Hint, ...]:
        """What to read again: the record, or all of the object where the sender lost count; nothing of an object that we don't read."""
        if not name:
            return (Hint(),)  # it does not say what it is about: whatever has changed is asked for
        stream = self._streams.get(name)
        if stream is None:
            return ()
        if record is not None:
            return (Hint(stream, (record,)),)
        return (Hint(stream, whole=known),)

    def _changes(self, body: bytes) -> Sequence[Notice] | None:
        """The notices of a body of change events, each part of a list by itself; None when it holds no change event."""
        parts, any_event = elements(body), False
        notices: list[Notice] = []
        for part in [body] if parts is None else parts:
            try:
                changes = capture.changes_of(loads(part), self._client_name)
            except ValueError as error:
                notices.append(unreadable(part, str(error)))
                continue
            any_event = any_event or changes is not None
            notices += [Notice(each.key, self._hints(each.object, each.record, known=True), each.fault) for each in changes or ()]
        return notices if any_event else None

    def _check_json(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
        if self._signed.scheme.header.lower() in headers:
            self._signed.check(headers, body, secrets, now=now)
        else:
            _check_secret(headers, secrets)


def _check_secret(headers: Mapping[str, str], secrets: Sequence[str]) -> None:
    """The shared secret, in its header, as a bearer token, or in the address where the sender can add nothing else."""
    if not secrets:
        raise SignatureRefused("no webhook secret is configured for this connection")
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    query = parse_qsl(headers.get(":path", "").partition("?")[2])
    given = [
        sent(headers.get(SECRET_HEADER, "")),
        sent(bearer.strip() if scheme.lower() == "bearer" else ""),
        *(value.encode("utf-8", "replace") for name, value in query if name == SECRET_PARAMETER),
    ]
    if not among(given, [secret.encode() for secret in secrets]):
        raise SignatureRefused("the request carries neither a signature nor the shared secret")


def door_of(connection: Connection, streams: Mapping[str, str]) -> SalesforceDoor:
    """The door of a connection, by its options organization_id, outbound_secret and client_name."""
    told = connection.options.get("organization_id")
    return SalesforceDoor(
        SignedDoor.of(connection),
        streams,
        full_id(told),
        secret_demanded=bool(connection.options.get("outbound_secret", False)),
        client_name=str(connection.options.get("client_name", "tidegate")),
    )
