"""The lines of docs/connections/rest-applications.md, as they stand there, against servers in the public form of each application."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.contracts.rest_vendors import INVOICE, SECRETS, invoices, vendor
from tests.contracts.suite_server import Asked, Reply, reply_json


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"VENDOR_{name.upper()}", f"its-{name}")


def _line(application: str) -> list[str]:
    """The cells of an application in the table of the page."""
    page = Path(__file__).parents[2] / "docs" / "connections" / "rest-applications.md"
    [row] = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {application}")]
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def _told(cell: str, key: str) -> str:
    """`key = value` as it stands in a cell."""
    found = re.search(rf'`({re.escape(key)} = (?:"[^"]*"|\'[^\']*\'|[\w.]+|\{{.*?\}}))`', cell)
    assert found is not None, f"{key} in {cell}"
    return found[1]


def _paging(cell: str) -> str:
    found = re.search(r"`(\{ style = .*?\})`", cell)
    assert found is not None, cell
    return f"paging = {found[1]}"


def _declared(
    application: str, records: str, incremental: list[str], *, columns: str = INVOICE, top: str = 'auth = { kind = "bearer" }'
) -> str:
    """A stream whose paging and moment are those that the page names."""
    _, _, paged, changed = _line(application)
    told = ", ".join([*(_told(changed, key) for key in incremental), 'column = "updated"'])
    return f"""
    {top}
    [[streams]]
    stream = "invoices"
    path = "v1/list"
    records = "{records}"
    {_paging(paged)}
    incremental = {{ {told} }}
    {columns}
    """


def test_chargebee_by_its_line() -> None:
    """Every record wrapped under the name of its kind, an opaque place that is itself JSON, "after" and not "from"."""
    columns = INVOICE
    for name in ("id", "number", "customer", "issued", "total", "currency", "status", "updated"):
        columns = re.sub(rf"^{name} = \{{ ?", f'{name} = {{ path = "invoice.{name}", ', columns, count=1, flags=re.MULTILINE)
    columns = columns.replace(", }", " }").replace(
        '"invoice.updated", type = "time"', '"invoice.updated", type = "time", epoch = "seconds"'
    )
    held = [{"invoice": {**one, "updated": 1777600000 + n}} for n, one in enumerate(invoices(3))]

    def answer(asked: Asked) -> Reply:
        assert asked.headers["authorization"].startswith("Basic ")
        after = int(asked.query.get("updated_at[after]", 0))
        found = [one for one in held if one["invoice"]["updated"] > after]
        start = json.loads(asked.query.get("offset", '["0","x"]'))[0]
        end = int(start) + 2
        more = {"next_offset": json.dumps([str(end), "289000001"])} if end < len(found) else {}
        return reply_json({"list": found[int(start) : end], **more})

    declared = _declared("Chargebee", "list", ["param", "format", "exclusive"], columns=columns, top='auth = { kind = "basic" }')
    with vendor(declared, answer, secrets={"user": "env:VENDOR_KEY"}) as chargebee:
        chargebee.pull()
        assert len(chargebee.live("invoice", "gross")) == 3
        chargebee.pull()
        assert chargebee.asked("updated_at[after]")[-1] == str(1777600002 - 601)


def test_recurly_by_its_line() -> None:
    """A version in the Accept header, a next address without its host, both signs of the end."""
    held = invoices(5)

    def answer(asked: Asked) -> Reply:
        assert asked.headers["accept"] == "application/vnd.recurly.v2021-02-25"
        start = int(asked.query.get("cursor", 0))
        more = start + 2 < len(held)
        body = {
            "object": "list",
            "has_more": more,
            "next": f"/v1/list?cursor={start + 2}&limit=2" if more else None,
            "data": held[start : start + 2],
        }
        return Reply(json.dumps(body).encode(), content_type="application/vnd.recurly.v2021-02-25+json")

    header = _told(_line("Recurly")[1], "Accept")
    top = f'auth = {{ kind = "basic" }}\nheaders = {{ {header} }}'
    with vendor(_declared("Recurly", "data", ["param"], top=top), answer) as recurly:
        recurly.pull()
        assert len(recurly.live("invoice", "gross")) == 5
        recurly.pull()
        assert recurly.asked("begin_time")[3] == "2026-05-20T11:50:00Z"


def test_dynamics_by_its_line() -> None:
    """A member with odd signs in its name, a filter in the query language of OData, the client in the body of the token request."""
    held = invoices(5)

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/token"):
            assert asked.form()["client_secret"] == "its-client_secret"
            return reply_json({"token_type": "Bearer", "expires_in": 3599, "access_token": "t"})
        assert asked.headers["prefer"] == "odata.maxpagesize=500"
        start = int(asked.query.get("$skiptoken", 0))
        url = f"http://{asked.headers['host']}/v1/list?$skiptoken={start + 2}"
        more = {"@odata.nextLink": url} if start + 2 < len(held) else {}
        return reply_json({"@odata.context": "x", "value": held[start : start + 2], **more})

    header = _told(_line("Dynamics 365")[1], "Prefer")
    top = f'headers = {{ {header} }}\nauth = {{ kind = "oauth2", token_url = "{{url}}/t/oauth2/v2.0/token", client_in = "body", scope = "x/.default" }}'
    with vendor(_declared("Dynamics 365", "value", ["param", "template"], top=top), answer) as dynamics:
        dynamics.pull()
        assert len(dynamics.live("invoice", "gross")) == 5
        dynamics.pull()
        assert dynamics.asked("$filter")[5] == "modifiedon ge 2026-05-20T11:50:00Z"


def test_shopify_and_gocardless_by_their_lines() -> None:
    """A Link header whose next address allows no other filter; a cursor that is null at the end."""
    held = invoices(5)

    def shopify(asked: Asked) -> Reply:
        assert not ("page_info" in asked.query and "updated_at_min" in asked.query), "an invalid page cursor"
        start = int(asked.query.get("page_info", 0))
        url = f"http://{asked.headers['host']}/v1/list?page_info={start + 2}&limit=250"
        links = f'<{url}>; rel="next"' if start + 2 < len(held) else f'<{url}>; rel="previous"'
        return reply_json({"orders": held[start : start + 2]}, Link=links)

    def gocardless(asked: Asked) -> Reply:
        start = int(asked.query.get("after", 0))
        after = str(start + 2) if start + 2 < len(held) else None
        return reply_json({"payments": held[start : start + 2], "meta": {"cursors": {"before": None, "after": after}, "limit": 100}})

    with vendor(_declared("Shopify", "orders", ["param"]), shopify) as shop:
        shop.pull()
        shop.pull()
        assert len(shop.live("invoice", "gross")) == 5
        assert shop.asked("updated_at_min").count("2026-05-20T11:50:00Z") == 1
    declared = _declared("GoCardless", "payments", []).replace("incremental = {", 'incremental = { param = "created_at[gte]",')
    with vendor(declared, gocardless) as debit:
        debit.pull()
        assert len(debit.live("invoice", "gross")) == 5
