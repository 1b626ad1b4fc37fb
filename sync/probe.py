"""`connections test`: one connection proven before it is used, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sync.connections import ConfigError, Connection, Landscape
from sync.errors import SourceError
from sync.ports import Finding, Probing
from sync.systems.registry import system


def probe(landscape: Landscape, connection: Connection, *, now: datetime) -> Iterator[Finding]:
    """What was tried and whether it is well, line by line; stops at the first thing that makes the rest pointless.

    `now` is business time, UTC. Never raises for what a system answers: that is a finding.
    """
    try:
        source = system(connection).make_source(connection, landscape)
    except (ConfigError, ValueError) as error:
        yield Finding("configuration", ok=False, words=str(error))
        return
    yield Finding("configuration", ok=True, words=f"{connection.system} in {connection.region}, secrets found")
    try:
        if isinstance(source, Probing):
            yield from source.probe(now=now)
        else:
            yield Finding("probe", ok=False, words=f"the {connection.system} adapter cannot prove itself; pull it instead")
    except SourceError as error:
        yield Finding(error.kind, ok=False, words=error.detail)
    finally:
        source.close()
