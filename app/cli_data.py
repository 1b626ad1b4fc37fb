"""`tidegate ingest`, `metrics` and `journey`: one file in, figures out, one transaction from quote to cash."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.office import opened
from app.terminal import Json, fail, moment, progress, say, show, to_json
from sync.connections import ConfigError
from sync.errors import SourceError


def ingest(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file, as it was received.")],
    connection: Annotated[str, typer.Option("--connection", help="The connection that declares its form.")],
    json: Json = False,
) -> None:
    """Takes one file in, now: landed byte for byte, checked against its control totals, promoted, measures refreshed."""
    from sync.ingest import ingest_file

    with opened() as office, progress(f"ingesting {file.name}"):
        try:
            declared = office.landscape.connection(connection)
            result = ingest_file(office.database, office.landscape, declared, file, clock=office.clock)
        except (ConfigError, SourceError) as error:
            fail(f"{file}: {error}")
    show(result.as_document(), as_json=json)
    if result.refused:
        say(f"{file}: refused: {result.refused}")
    elif result.quarantined:
        say(f"{file}: {result.quarantined} record(s) quarantined; see: tidegate exceptions list")
    raise typer.Exit(1 if result.refused or result.quarantined else 0)


def metrics(
    measure: Annotated[list[str] | None, typer.Option("--measure", help="A slug of the catalogue; again for more.")] = None,
    connection: Annotated[str | None, typer.Option("--connection", help="Facts of this connection only.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="country, region, legal_entity, customer, currency or week.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="A date (its end) or a time with its offset: as known then.")] = None,
    json: Json = False,
) -> None:
    """The measures, exact, now or as known at a past time."""
    from datetime import date

    from db.engine import reading
    from metrics.catalog import DEFAULT_SLUGS
    from metrics.report import report

    at = date.fromisoformat(as_of) if as_of is not None and _is_date(as_of) else moment(as_of)
    with opened() as office:
        if connection is not None:
            try:
                office.landscape.connection(connection)
            except ConfigError as error:
                fail(str(error))
        try:
            with reading(office.database.engine) as conn:
                answer = report(
                    conn,
                    slugs=measure or DEFAULT_SLUGS,
                    connection=connection,
                    by=by,
                    as_of=at,
                    now=office.clock.now(),
                    reporting_currency=office.landscape.reporting_currency,
                )
        except ValueError as error:
            fail(str(error), code=2)
    if json:
        print(to_json(answer))
        return
    show(
        {"as_of": answer["as_of"], "measures": [{k: v for k, v in line.items() if k != "by"} for line in answer["measures"]]}, as_json=False
    )
    for line in answer["measures"]:
        if line["by"]:
            show({f"{line['slug']} by {by}": line["by"]}, as_json=False)


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10  # noqa: PLR2004  (YYYY-MM-DD)


def journey(
    number: Annotated[str, typer.Argument(help="Any number of it: contract, order, invoice, payment reference.")],
    as_of: Annotated[str | None, typer.Option("--as-of")] = None,
    json: Json = False,
) -> None:
    """One transaction from quote to cash, hop by hop, in three clocks."""
    from app.desk import Person
    from app.live import LiveDesk
    from app.office import operating_person

    with opened() as office:
        person = Person(subject=operating_person(), name="command line", email=None, roles=frozenset({"admin"}), regions=None)
        found = LiveDesk(office, person).journey(number, moment(as_of))
    if found is None:
        fail(f"no quote, contract, order, delivery, invoice or payment has the number {number!r}")
    show(
        {
            "number": found.number,
            "title": found.title,
            "customer": found.customer,
            "region": found.region,
            "amount": found.amount,
            "slowest": found.slowest,
            "hops": found.hops,
        },
        as_json=json,
    )


def register(root: typer.Typer) -> None:
    """Adds these commands to the root."""
    root.command()(ingest)
    root.command()(metrics)
    root.command()(journey)
