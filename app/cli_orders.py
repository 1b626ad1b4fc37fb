"""`tidegate orders ...`: what a person asks of a sales order in its ERP. It opens a case; another person has to approve it on the pages."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from app.desk import DeskError, Intent, Person
from app.office import opened, operating_person
from app.terminal import Json, fail, show

group = typer.Typer(no_args_is_help=True, help="Ask for a change of a sales order; another person has to approve it.")
Number = Annotated[str, typer.Argument(help="The order's number in its ERP.")]
Where = Annotated[str, typer.Option("--connection", help="The ERP that holds the order.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the case and in the audit log.")]


@group.command()
def block(number: Number, connection: Where, reason: Reason, json: Json = False) -> None:
    """Asks to block a released order again."""
    _ask("block_order", number, connection, reason, json)


@group.command()
def approve(number: Number, connection: Where, reason: Reason, json: Json = False) -> None:
    """Asks to release the order's approval request."""
    _ask("approve_order", number, connection, reason, json)


@group.command()
def reject(number: Number, connection: Where, reason: Reason, json: Json = False) -> None:
    """Asks to reject the order's approval request."""
    _ask("reject_order", number, connection, reason, json)


def _ask(change: str, number: str, connection: str, reason: str, json: bool) -> None:
    """Carries the request out here and now; exit 1 when the order is not known or its system takes no such change."""
    from app.live import LiveDesk
    from app.live.carry_out import carry_out

    with opened() as office:
        desk = LiveDesk(office, Person(operating_person(), "command line", None, frozenset({"admin"}), None))
        payload = {"source": connection, "order": number, "change": change}
        try:
            receipt = desk.submit(Intent("request_order_change", f"cli:{uuid.uuid4()}", payload, reason))
        except DeskError as error:
            fail(str(error))
        carry_out(office, receipt.command_id)
        receipt = desk.receipt(receipt.command_id)
    show({"command_id": receipt.command_id, "state": receipt.state, "words": receipt.words, **dict(receipt.outcome)}, as_json=json)
    raise typer.Exit(0 if receipt.state == "done" and receipt.outcome.get("case") else 1)


def register(root: typer.Typer) -> None:
    """Adds these commands to the root."""
    root.add_typer(group, name="orders")
