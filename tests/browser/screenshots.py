"""The README's pictures, really taken: `python -m tests.browser.screenshots` brings an installation up and visits every page, light and dark."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import FLAGS, ROOT, Installation, bring_up, signed_in, take_down
from tests.browser.ensure_chromium import chromium

PICTURES = ROOT / "docs" / "pictures"
PAGES = ("today", "receivables", "cash", "exposure", "exceptions", "journeys", "connections")
FILLED_SECONDS = 240
DRAWN_MS = 6_000


def wait_for_figures(installation: Installation) -> None:
    """Returns once every stream was pulled once and the figures are made."""
    until = time.monotonic() + FILLED_SECONDS
    while time.monotonic() < until:
        streams = installation.rows("select count(*) as n, count(*) filter (where last_success_at is null) as missing from process.stream")[
            0
        ]
        figures = installation.rows("select count(*) as n from measure.figure where region = '*'")[0].n
        if streams.n and not streams.missing and figures:
            return
        time.sleep(2)
    raise SystemExit(f"no figures after {FILLED_SECONDS} s; the logs are in {installation.home / 'logs'}")


def something_to_see(installation: Installation) -> None:
    """A few broken records of different causes, so that the queue is not empty."""
    for system, entity, how, times in (
        ("sap-emea", "A_BillingDocument", "bad_currency", 3),
        ("sap-na", "A_SalesOrder", "unknown_customer", 2),
        ("sap-apac", "A_BillingDocument", "bad_amount", 4),
    ):
        installation.control("/control/act", {"do": "break_many", "n": times, "system": system, "entity": entity, "how": how})
    until = time.monotonic() + 90
    while time.monotonic() < until and not installation.rows("select 1 from process.exception where state = 'new' limit 1"):
        time.sleep(2)


def newest_journey(installation: Installation) -> str:
    """The number of the newest paid invoice of an ERP that has its order too."""
    rows = installation.rows(
        "select i.number from canonical.invoice i join canonical.payment_application a on a.source = i.source and a.invoice_key = i.source_key"
        " where i.order_number is not null and i.source like 'sap-%' and not a.is_reversed order by i.changed_at desc limit 1"
    )
    return str(rows[0].number)


def take(page: Page, address: str, place: Path) -> None:
    """One picture of one page at 1440 x 900."""
    page.goto(address)
    expect(page.get_by_test_id("stMain").get_by_text(re.compile("As of|Search")).first).to_be_visible()
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    page.wait_for_timeout(DRAWN_MS)  # charts draw after the words
    page.mouse.move(0, 0)
    page.screenshot(path=place)
    print(place.relative_to(ROOT), flush=True)


def visit(installation: Installation, program: str) -> None:
    """All pages in both schemes as the administrator, who has them all."""
    number = newest_journey(installation)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for scheme in ("light", "dark"):
            page = signed_in(browser, installation.address, "admin", scheme=scheme)
            for slug in PAGES:
                query = f"?number={number}" if slug == "journeys" else ""
                take(page, f"{installation.address}/{slug}{query}", PICTURES / f"{slug}-{scheme}.png")
            page.context.close()
        browser.close()


def main() -> int:
    """Takes every picture anew; 1 when there is no Chromium."""
    program = chromium()
    if program is None:
        print("no Chromium: run python -m tests.browser.ensure_chromium, or name one in TIDEGATE_CHROMIUM", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    running = os.environ.get("TIDEGATE_RUNNING")
    if running:
        installation = Installation(running, Path(os.environ["TIDEGATE_HOME"]), dict(os.environ), None)
        wait_for_figures(installation)
        visit(installation, program)
        return 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        installation = bring_up(Path(home))
        try:
            wait_for_figures(installation)
            something_to_see(installation)
            visit(installation, program)
        finally:
            take_down(installation)
    return 0


if __name__ == "__main__":
    sys.exit(main())
