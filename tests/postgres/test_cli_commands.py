"""The command line from an empty home: a real file in, figures equal to the csv module's, the queue, the checks. Own embedded server."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT.parent / "shared" / "data" / "ibm_accounts_receivable.csv"
SLUGS = (
    "invoice_to_payment_p50", "invoice_to_payment_p90", "invoice_to_payment_p95", "invoice_count", "invoiced_total", "late_share",
    "dispute_share", "mean_days_late", "open_count", "open_total", "overdue_count", "overdue_total",
)  # fmt: skip
PAST = date(2013, 6, 30)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("cli"),
    pytest.mark.skipif(not FILE.is_file(), reason="../shared/data/ibm_accounts_receivable.csv is not here"),
]


@dataclass(frozen=True)
class Said:
    """What a command said: its exit code, its data and its words."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out, parse_float=Decimal)


class Terminal:
    """A person's terminal on an installation of its own."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "TIDEGATE_HOME": str(home), "TIDEGATE_CONFIG": str(ROOT / "examples" / "ibm-ar.toml")}
        self.environment.pop("DATABASE_URL", None)

    def __call__(self, *arguments: str) -> Said:
        command = [sys.executable, "-m", "app.cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=180, check=False)
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli-home")


@pytest.fixture(scope="module")
def ran(home: Path) -> Iterator[Terminal]:
    """A terminal on which IBM's file was ingested, first thing, on an empty home. The server stays up for the module."""
    from db import embedded

    terminal = Terminal(home)
    first = terminal("ingest", str(FILE), "--connection", "ibm-ar", "--json")
    assert first.code == 0, first.err
    assert (first.data["received"], first.data["promoted"], first.data["quarantined"]) == (2466, 2466, 0)
    server = embedded.acquire(home)
    yield terminal
    server.release()


def day(text: str) -> date | None:
    return datetime.strptime(text, "%m/%d/%Y").date() if text else None


def computed(on: date | None, of: Callable[[dict[str, str]], bool] = lambda _: True) -> dict[str, Decimal | int]:
    """Every measure from the file's own text, as it stood at the end of `on` (None: with all it holds), by the csv module alone."""
    with FILE.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if of(line)]
    invoices = []
    for line in lines:
        issued, due, paid = day(line["InvoiceDate"]), day(line["DueDate"]), day(line["SettledDate"])
        assert issued is not None
        assert due is not None
        if on is None or issued <= on:
            known = paid if paid is not None and (on is None or paid <= on) else None
            invoices.append((issued, due, known, Decimal(line["InvoiceAmount"]), line["Disputed"] == "Yes"))
    cleared = sorted((paid - issued).days for issued, _, paid, _, _ in invoices if paid)
    late = [(paid - due).days for _, due, paid, _, _ in invoices if paid and paid > due]
    unpaid = [(due, amount) for _, due, paid, amount, _ in invoices if not paid]
    overdue = [amount for due, amount in unpaid if on is not None and due < on]
    answer: dict[str, Decimal | int] = {
        "invoice_count": len(invoices),
        "invoiced_total": sum((amount for *_, amount, _ in invoices), Decimal(0)),
        "late_share": Decimal(len(late)) / len(cleared),
        "dispute_share": Decimal(sum(disputed for *_, disputed in invoices)) / len(invoices),
        "mean_days_late": Decimal(sum(late)) / len(late) if late else Decimal(0),
        "open_count": len(unpaid),
        "open_total": sum((amount for _, amount in unpaid), Decimal(0)),
        "overdue_count": len(overdue),
        "overdue_total": sum(overdue, Decimal(0)),
    }
    for name, share in (("p50", Decimal("0.5")), ("p90", Decimal("0.9")), ("p95", Decimal("0.95"))):
        place = share * (len(cleared) - 1)
        low = int(place)
        high = min(low + 1, len(cleared) - 1)
        answer[f"invoice_to_payment_{name}"] = cleared[low] + (place - low) * (cleared[high] - cleared[low])
    return answer


def assert_same(found: Any, expected: Decimal | int, slug: str) -> None:
    """To the cent, the count and the millionth."""
    assert abs(Decimal(found) - expected) <= (0 if slug.endswith(("total", "count")) else Decimal("0.000001")), (slug, found, expected)


def asked(*slugs: str) -> list[str]:
    return [part for slug in slugs for part in ("--measure", slug)]


@pytest.mark.parametrize("on", [None, PAST])
def test_every_measure_equals_the_files_own_text(ran: Terminal, on: date | None) -> None:
    """All twelve receivables measures, now and as known at a past date, are those that the csv module finds."""
    moment = ["--as-of", on.isoformat()] if on else []
    said = ran("metrics", *asked(*SLUGS), "--connection", "ibm-ar", *moment, "--json")
    assert said.code == 0, said.err
    found = {line["slug"]: line["value"] for line in said.data["measures"]}
    assert list(found) == list(SLUGS)
    for slug, expected in computed(on).items():
        assert_same(found[slug], expected, slug)


def test_groups_equal_the_files_own_text(ran: Terminal) -> None:
    """By country at a past date, and by customer now, each group's figures are those of its lines."""
    by_country = ran(
        "metrics", *asked("open_total", "late_share", "invoice_count"), "--by", "country", "--as-of", PAST.isoformat(), "--json"
    ).data
    by_customer = ran("metrics", *asked("invoiced_total", "invoice_to_payment_p50"), "--by", "customer", "--json").data
    for answer, column, on in ((by_country, "countryCode", PAST), (by_customer, "customerID", None)):
        for line in answer["measures"]:
            assert len(line["by"]) >= 5
            for group in line["by"][:: max(1, len(line["by"]) // 12)]:
                expected = computed(on, lambda row, key=group["key"], column=column: row[column] == key)  # type: ignore[misc]
                assert_same(group["value"], expected[line["slug"]], line["slug"])


def test_an_unknown_measure_is_told_what_there_is(ran: Terminal) -> None:
    """A slug that does not exist is refused in words that name those that do; nothing is on stdout."""
    said = ran("metrics", "--measure", "happiness", "--json")
    assert (said.code, said.out) == (2, "")
    assert "invoice_to_payment_p50" in said.err


def test_the_same_file_again_changes_nothing(ran: Terminal) -> None:
    """Ingested again, every record is unchanged or a duplicate, none promoted."""
    again = ran("ingest", str(FILE), "--connection", "ibm-ar", "--json")
    assert again.code == 0, again.err
    assert (again.data["promoted"], again.data["quarantined"]) == (0, 0)
    assert again.data["unchanged"] + again.data["duplicates"] == again.data["received"] == 2466


HEAD = "countryCode,customerID,PaperlessDate,invoiceNumber,InvoiceDate,DueDate,InvoiceAmount,Disputed,SettledDate,PaperlessBill,DaysToSettle,DaysLate"
GOOD = "391,9999-TESTS,4/6/2013,{number},1/2/2013,2/1/2013,{amount},No,{paid},Paper,13,0"


def written(place: Path, *lines: str) -> str:
    place.write_text("\n".join((HEAD, *lines)) + "\n", encoding="utf-8")
    return str(place)


def test_what_is_broken_waits_in_the_queue_until_it_is_mended(ran: Terminal, tmp_path: Path) -> None:
    """Three broken lines among good ones are quarantined, listed, shown, previewed; replayed unmended they fail; mended they resolve."""
    good = [GOOD.format(number=f"900000000{n}", amount="10.00", paid="1/15/2013") for n in range(3)]
    bad = [GOOD.format(number=f"910000000{n}", amount="ten", paid="1/15/2013") for n in range(2)]
    bad += [GOOD.format(number="9200000000", amount="10.00", paid="13/45/2013")]
    first = ran("ingest", written(tmp_path / "broken.csv", *good, *bad), "--connection", "ibm-ar", "--json")
    assert first.code == 1
    assert (first.data["received"], first.data["promoted"], first.data["quarantined"]) == (6, 3, 3)

    listed = ran("exceptions", "list", "--json").data
    assert listed["total"] == len(listed["exceptions"]) == 3
    assert {"id", "cause", "fingerprint", "severity", "money_at_risk", "currency", "state", "connection"} <= set(listed["exceptions"][0])
    amounts = ran("exceptions", "list", "--filter", "cause=bad_amount", "--json").data
    assert amounts["total"] == 2
    assert len({one["fingerprint"] for one in amounts["exceptions"]}) == 1

    shown = ran("exceptions", "show", str(amounts["exceptions"][0]["id"]), "--json").data
    assert "ten" in shown["record"]
    assert shown["hint"]
    preview = ran("exceptions", "preview", "--filter", "cause=bad_amount", "--json").data
    assert (preview["total"], preview["would_land"], preview["would_fail"]) == (2, 0, 2)

    failed = ran("exceptions", "replay", "--filter", "cause=bad_amount", "--json")
    assert failed.code == 1
    assert {name: failed.data[name] for name in ("state", "total", "done", "failed", "resolved")} == {
        "state": "done", "total": 2, "done": 2, "failed": 2, "resolved": 0
    }  # fmt: skip

    mended = [line.replace("ten", "10.00").replace("13/45/2013", "1/15/2013") for line in bad]
    second = ran("ingest", written(tmp_path / "mended.csv", *mended), "--connection", "ibm-ar", "--json")
    assert (second.code, second.data["promoted"]) == (0, 3), second.err
    assert ran("exceptions", "list", "--json").data["total"] == 0
    assert ran("exceptions", "list", "--filter", "state=resolved", "--json").data["total"] == 3
    rest = ran("exceptions", "replay", "--all", "--json")
    assert (rest.code, rest.data["total"], rest.data["failed"]) == (0, 0, 0), rest.err


def test_replay_wants_to_be_told_what(ran: Terminal) -> None:
    """Without --id, --filter or --all nothing is replayed; an unknown field of a filter is named."""
    assert ran("exceptions", "replay", "--json").code == 2
    refused = ran("exceptions", "list", "--filter", "colour=red", "--json")
    assert refused.code == 2
    assert "colour=red" in refused.err


def test_the_checks_say_that_all_is_well(ran: Terminal) -> None:
    """`verify`, `audit verify` and `doctor` find nothing wrong with what these commands left behind."""
    for command in (("verify",), ("audit", "verify"), ("doctor",)):
        said = ran(*command, "--json")
        assert (said.code, said.data["ok"]) == (0, True), (command, said.out, said.err)


def test_the_address_is_told_without_its_password(ran: Terminal) -> None:
    """`db url` hides the password, `--secret` shows it to programs, `db upgrade` has nothing left to do."""
    hidden, open_ = ran("db", "url").out.strip(), ran("db", "url", "--secret").out.strip()
    assert hidden.startswith("postgresql")
    assert open_ not in hidden
    secret = open_.split("@")[0].rpartition(":")[2]
    assert secret
    assert secret not in hidden
    upgraded = ran("db", "upgrade")
    assert (upgraded.code, upgraded.out) == (0, "")
    assert secret not in upgraded.err


def test_connections_are_listed_paused_and_resumed(ran: Terminal) -> None:
    """The file's connection is listed with its stream; paused and resumed by name; an unknown one is refused in words."""
    listed = ran("connections", "list", "--json").data
    assert {line["connection"] for line in listed["connections"]} == {"ibm-ar"}
    assert listed["total"] == len(listed["connections"])
    assert ran("connections", "pause", "ibm-ar", "--reason", "month end").code == 0
    assert [line["state"] for line in ran("connections", "list", "--json").data["connections"]] == ["paused"]
    assert ran("connections", "resume", "ibm-ar").code == 0
    unknown = ran("connections", "pull", "nowhere")
    assert unknown.code == 1
    assert "nowhere" in unknown.err


def test_a_change_of_an_order_that_nobody_knows_is_refused_in_words(ran: Terminal) -> None:
    """The request is filed, fails, and says which order is not known where; nothing is written anywhere."""
    asked = ran("orders", "block", "4711", "--connection", "ibm-ar", "--reason", "fraud", "--json")
    assert asked.code == 1
    assert "4711" in asked.out + asked.err
    assert "ibm-ar" in asked.out + asked.err
