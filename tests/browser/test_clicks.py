"""Every button that commands, pressed in a real browser over the invented company: what AppTest can't tell, as it runs whole pages only."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.bench.page_server import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("clicks")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard over the fake desk, in a process of its own, with the operator at it."""
    with serving("dashboard", tmp_path_factory.mktemp("clicks"), desk="full:operator") as served:
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("where", "key", "title"),
    [
        ("connections?connection=sap-apac", "connections-run", "Run sap-apac now"),
        ("connections?connection=sap-apac", "connections-pause", "Pause sap-apac"),
        ("connections?connection=sap-apac", "connections-backfill", "Backfill sap-apac"),
        ("exceptions?cause=bad_currency", "exceptions-replay", "Replay all"),
        ("exceptions?id=1003", "exception-edit", "Edit and replay exception 1003"),
        ("exposure", "exposure-case-7", "Decide on Order 4500001877"),
        ("exposure?order=sap-emea/4500001876", "exposure-order-4500001876-block_order", "Order 4500001876: block again"),
        ("journeys?number=90000003", "journeys-order-4500001802-approve_order", "Order 4500001802: release its approval request"),
    ],
)
def test_a_button_opens_its_form(page: Page, address: str, where: str, key: str, title: str) -> None:
    """Wherever it stands, also in a part of the page that refreshes alone; Cancel closes it again."""
    page.goto(f"{address}/{where}")
    page.locator(f".st-key-{key} button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(title)
    dialog.get_by_role("button", name="Cancel").or_(dialog.get_by_role("button", name="Close")).first.click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_decision_leads_to_its_order_and_a_request_to_its_outcome(page: Page, address: str) -> None:
    """Oskar opens an order of a decision, asks for its block with a double click, and sees that the request waits for somebody else."""
    page.goto(f"{address}/exposure?order=sap-apac/4500001872")
    page.locator(".st-key-exposure-order-4500001872-block_order button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile("sets the delivery block of order 4500001872 again"))
    dialog.get_by_role("button", name="Ask for it").click()
    expect(dialog).to_contain_text("the reason included")
    reason = dialog.get_by_role("textbox", name="Reason")
    reason.fill("Standstill agreement")
    reason.blur()
    dialog.get_by_role("button", name="Ask for it").dblclick()
    expect(page.locator(".st-key-receipt-panel").first).to_contain_text("Request for an order")
    asked = page.locator(".st-key-exposure-order-4500001872").get_by_text("waits for another person's approval")
    expect(asked).to_have_count(1)


def test_an_operator_replays_a_group_of_exceptions(page: Page, address: str) -> None:
    """From a cause to one of its exceptions, to the preview, and to the outcome, all in the browser."""
    page.goto(f"{address}/exceptions")
    page.locator(".st-key-exceptions-group-0 button").click()
    expect(page.get_by_test_id("stMain")).to_contain_text("One group")
    expect(page).to_have_url(re.compile("fingerprint="))
    page.goto(f"{address}/exceptions?id=1003")
    page.locator(".st-key-exception-replay button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("would land")
    dialog.get_by_role("button", name="Replay", exact=True).dblclick()
    expect(page.get_by_role("dialog")).to_have_count(0)
    receipt = page.locator(".st-key-receipt-panel").first
    expect(receipt).to_contain_text("Replay")
    expect(receipt).to_contain_text("1 of 1 done")


@pytest.mark.parametrize(("key", "submit", "outcome"), [("assign", "Assign", "Assignment"), ("dismiss", "Dismiss", "Dismissal")])
def test_an_operator_takes_an_exception_or_puts_it_off(page: Page, address: str, key: str, submit: str, outcome: str) -> None:
    """The form proposes its answers, asks for the reason where one is kept, and the page shows what became of it."""
    page.goto(f"{address}/exceptions?id=1003")
    page.locator(f".st-key-exception-{key} button").click()
    dialog = page.get_by_role("dialog")
    if key == "dismiss":
        expect(dialog).to_contain_text("Dismissed until")
        dialog.get_by_role("button", name=submit, exact=True).click()
        expect(dialog).to_contain_text("the reason included")
        reason = dialog.get_by_role("textbox", name="Reason")
        reason.fill("The customer is being created")
        reason.blur()
    else:
        expect(dialog.get_by_role("textbox", name="Owner")).to_have_value("Oskar Operator")
    dialog.get_by_role("button", name=submit, exact=True).click()
    expect(page.locator(".st-key-receipt-panel").first).to_contain_text(outcome)


def test_a_connection_is_opened_from_the_list(page: Page, address: str) -> None:
    """Its system by its proper name, its streams, its events and its runs; and back to the list."""
    page.goto(f"{address}/connections")
    page.locator(".st-key-connections-open-sap-apac button").click()
    main = page.get_by_test_id("stMain")
    for words in ("SAP S/4HANA", "Streams", "Events", "Last runs"):
        expect(main).to_contain_text(words)
    page.locator(".st-key-connections-back button").click()
    expect(page.locator(".st-key-connections-open-sap-apac button")).to_be_visible()
