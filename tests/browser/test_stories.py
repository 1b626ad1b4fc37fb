"""What people do with Tidegate, in a real browser on a whole installation: each story is told as its person would tell it."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE_MS, Installation, asked_elsewhere, signed_in
from tests.conftest import WHOLE_INSTALLATION

pytestmark = [pytest.mark.browser, pytest.mark.slow, WHOLE_INSTALLATION, pytest.mark.timeout(600)]

FILLED_SECONDS = 240
SLUGS = ("today", "receivables", "cash", "exposure", "exceptions", "journeys", "connections")


def main_of(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def go(page: Page, installation: Installation, where: str) -> None:
    """Opens an address of the dashboard and waits until the page says as of when it speaks."""
    page.goto(f"{installation.address}/{where}")
    expect(main_of(page).get_by_text(re.compile("As of|Search")).first).to_be_visible()


def until(page: Page, installation: Installation, where: str, seen: Callable[[], Locator], seconds: int = 90) -> None:
    """Opens the address again and again until the locator is there, as a person would who waits for something."""
    ends = time.monotonic() + seconds
    while True:
        go(page, installation, where)
        try:
            expect(seen()).to_be_visible(timeout=25_000)
        except AssertionError:
            if time.monotonic() > ends:
                raise
        else:
            return


def eventually(question: Callable[[], Any], seconds: float = 90) -> Any:
    """The question's first answer that is not empty; AssertionError after `seconds`."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        answer = question()
        if answer:
            return answer
        time.sleep(1)
    raise AssertionError(f"still {question()!r} after {seconds} s")


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """The installation once its figures are on the page and the first history is in."""
    figures = "select count(*) from measure.figure where region = '*'"
    streams = "select count(*) from process.stream where last_success_at is null"
    eventually(lambda: installation.rows(figures)[0][0] and not installation.rows(streams)[0][0], FILLED_SECONDS)
    return installation


def test_an_operator_mends_a_broken_record(browser: Browser, filled: Installation) -> None:
    """Oskar finds the exception of a broken invoice, previews, mends it in the ERP, replays with a double click, sees it resolved."""
    broken = filled.control(
        "/control/act", {"do": "break_record", "system": "sap-emea", "entity": "A_BillingDocument", "how": "bad_currency"}
    )
    page = signed_in(browser, filled.address, "operator")
    queue = f"exceptions?connection=sap-emea&cause=bad_currency&q={broken['key']}"
    sent = "select id, state from process.command where kind = 'replay_exceptions' order by id"
    before = len(filled.rows(sent))
    until(page, filled, queue, lambda: page.locator(".st-key-exceptions-open button").first)
    (found,) = filled.rows(
        "select id from process.exception where connection = 'sap-emea' and cause = 'bad_currency' and source_key = :key", key=broken["key"]
    )
    page.locator(".st-key-exceptions-open button").first.click()
    expect(main_of(page).get_by_text("Record as received")).to_be_visible()
    assert f"id={found.id}" in page.url
    expect(main_of(page)).to_contain_text(str(broken["key"]))

    page.get_by_role("button", name=re.compile("^Preview and replay")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile("1 would fail again"))).to_be_visible()
    filled.control("/control/act", {"do": "fix_record", "system": "sap-emea", "entity": "A_BillingDocument", "key": broken["key"]})
    dialog.get_by_role("button", name="Replay", exact=True).dblclick()
    expect(page.locator(".st-key-receipt-panel").first).to_contain_text("done")
    until(page, filled, f"exceptions?id={found.id}", lambda: page.locator(".st-key-exception-what").get_by_text(re.compile("resolved")))
    assert [row.state for row in filled.rows(sent)][before:] == ["done"], "a double click sent the command more than once"
    page.context.close()


def test_a_leader_sees_figures_and_no_queue(browser: Browser, filled: Installation) -> None:
    """Lena sees five tiles with figures; no Exceptions page is in her navigation, and its address shows her none."""
    page = signed_in(browser, filled.address, "leader")
    go(page, filled, "today")
    tiles = page.locator(".st-key-tiles-today [data-testid=stMetricValue]")
    expect(tiles).to_have_count(5)
    # Forecast accuracy needs a week that is over; the other four come with the first history, and the tiles refresh alone.
    page.wait_for_function(
        "[...document.querySelectorAll('.st-key-tiles-today [data-testid=stMetricValue]')].filter(e => /\\d/.test(e.innerText)).length >= 4",
        timeout=PATIENCE_MS,
    )
    expect(page.get_by_role("banner")).to_contain_text("Receivables")
    expect(page.get_by_role("banner")).not_to_contain_text("Exceptions")
    page.goto(f"{filled.address}/exceptions")
    expect(main_of(page)).to_contain_text(re.compile("Is money moving|Page not found"))
    expect(page.get_by_text("What broke, and what do I press?")).to_have_count(0)
    page.context.close()


def exported(page: Page, key: str) -> list[dict[str, str]]:
    """The table's own CSV export, all rows of it."""
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.locator(f".st-key-{key}-csv button").first.click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_limited_analyst_sees_one_region(browser: Browser, filled: Installation) -> None:
    """Elif sees customers, cases and decisions of EMEA only; writing another region into the address shows her nothing of it."""
    page = signed_in(browser, filled.address, "analyst-emea")
    elsewhere = re.compile(r"\b(NA|APAC|LATAM)\b")
    go(page, filled, "exposure")
    main_of(page).get_by_text("Show all customers as a table").click()
    rows = exported(page, "exposure-customers")
    assert len(rows) > 20
    assert {row["region"] for row in rows} == {"EMEA"}
    expect(main_of(page).get_by_text(elsewhere)).to_have_count(0)
    for region in ("NA", "APAC,LATAM"):
        go(page, filled, f"exposure?region={region}")
        expect(main_of(page)).to_contain_text("No customer has exposure here")
        go(page, filled, f"receivables?region={region}")
        expect(main_of(page)).to_contain_text("There are no invoices here yet")
    (foreign,) = filled.rows("select number from canonical.invoice where region = 'NA' and not is_deleted order by number limit 1")
    page.goto(f"{filled.address}/journeys?number={foreign.number}")
    expect(main_of(page).get_by_text(re.compile("no |nothing|not ", re.IGNORECASE)).first).to_be_visible()
    expect(main_of(page)).not_to_contain_text("sap-na")
    page.context.close()


def test_a_change_in_the_source_shows_by_itself_and_a_decision_releases_once(browser: Browser, filled: Installation) -> None:
    """An order beyond its limit appears on the open Today page unasked; Oskar approves it with a reason, and the ERP releases it once."""
    page = signed_in(browser, filled.address, "operator")
    go(page, filled, "today")
    (customer, *_) = filled.rows(
        "select source_key from canonical.customer where source = 'sap-emea' and source_key like '101%' order by 1"
    )
    made = filled.control("/control/act", {"do": "activate_contract", "customer": customer.source_key, "value": 9_000_000})
    order = str(made["order"])
    (key,) = eventually(lambda: filled.rows("select source, source_key, recorded_at from canonical.sales_order where number = :n", n=order))
    pulled = time.monotonic()
    expect(main_of(page).get_by_text(f"Order {order} held")).to_be_visible()
    print(f"order {order} on the open page {time.monotonic() - pulled:.1f} s after its pull")

    (case,) = filled.rows("""select id from process."case" where subject_key = :key and state = 'open'""", key=key.source_key)
    go(page, filled, f"exposure?case={case.id}")
    page.locator(f".st-key-exposure-case-{case.id} button", has_text="Decide").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve and release").click()
    expect(dialog).to_contain_text("A decision needs a reason")
    reason = dialog.get_by_role("textbox", name="Reason")
    reason.fill("Paid in advance, agreed with sales")
    reason.blur()
    dialog.get_by_role("button", name="Approve and release").dblclick()
    expect(page.locator(".st-key-receipt-panel").first).to_contain_text("done")

    def releases() -> list[Any]:
        return [write for write in filled.control("/control/log?kind=write")["writes"] if str(write["key"]).strip("'") == order]

    assert len(eventually(releases)) == 1
    time.sleep(5)
    assert [write["effective"] for write in releases()] == [True]
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_by_everyone(browser: Browser, filled: Installation, scheme: str) -> None:
    """axe-core finds no serious or critical barrier on any page; in the dark, where only colours differ, it looks at contrast."""
    rules = {"runOnly": {"type": "rule", "values": ["color-contrast"]}} if scheme == "dark" else {}
    page = signed_in(browser, filled.address, "admin", scheme=scheme)
    found = {}
    for slug in SLUGS:
        go(page, filled, slug)
        page.wait_for_timeout(1_500)  # charts draw after the words
        violations = Axe().run(page, options=rules).response["violations"]
        grave = [
            f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0]['html'][:160]} ({len(one['nodes'])})"
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
        if grave:
            found[slug] = grave
    page.context.close()
    assert not found, "\n".join(f"{slug}: {words}" for slug, each in found.items() for words in each)


def test_nothing_is_asked_of_anyone_else(filled: Installation) -> None:
    """In all these stories no page asked any host but this machine for anything."""
    assert asked_elsewhere == set()
