"""Case 9: Today in a headless browser, from navigation to everything drawn, against the same widgets over constants; page switches.

The dashboard runs over its fake desk: this measures drawing. What a page asks of the database is measured with the measures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from playwright.sync_api import Page, sync_playwright

from tests.bench.page_server import serving
from tests.bench.ratios import Bench, Ratio, rounds
from tests.browser.conftest import FLAGS
from tests.browser.ensure_chromium import chromium

WAIT_MS = 30_000
TILES, HANDS, FEEDS = 5, 5, 7
"""What Today shows to the invented company's leader; the page of constants draws as many."""
DRAWN = f"""() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
  && document.querySelectorAll('[data-testid=stMetric]').length >= {TILES}
  && document.querySelectorAll('[data-testid=stMetric] canvas, [data-testid=stMetric] svg').length >= {TILES}
  && document.querySelectorAll('[class*=st-key-row-hand]').length >= {HANDS}
  && document.querySelectorAll('[class*=st-key-row-feed]').length >= {FEEDS}"""
SWITCHED = """title => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
  && [...document.querySelectorAll('h1')].some(each => each.innerText.trim() === title)"""
SWITCHES = (("Receivables", "Receivables"), ("Exposure", "Exposure"), ("Today", "Today"))
SWITCH_SECONDS = 0.5


def run(bench: Bench) -> Iterator[Ratio]:
    """Both pages in one browser, turn by turn; a note and no ratio where there is no browser."""
    program = chromium()
    if program is None:
        bench.notes.append("9 page: NOT RUN, no Chromium here")
        return
    with serving("dashboard", bench.folder) as ours, serving("constant", bench.folder) as theirs, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        arms: dict[str, Callable[[], float]] = {
            "ours": lambda: _draw(page, f"{ours}/today"),
            "theirs": lambda: _draw(page, f"{theirs}/today"),
        }
        for arm in (*arms.values(), *arms.values()):
            arm()
        found = rounds(max(bench.rounds, 7), arms)
        ratio = tuple(own / other for own, other in zip(found["ours"], found["theirs"], strict=True))
        yield Ratio("9 Today, navigation to drawn", "Tidegate", "constants", ratio, 1.2, at_most=True,
                    rate=statistics.median(found["ours"]) * 1000, unit="ms")  # fmt: skip
        page.goto(f"{ours}/today")
        page.wait_for_function(DRAWN, timeout=WAIT_MS)
        _switches(page)
        taken = [seconds for _ in range(3) for seconds in _switches(page)]
        yield Ratio("9 page switch", "Tidegate", f"{SWITCH_SECONDS} s", tuple(each / SWITCH_SECONDS for each in taken), 1.0, at_most=True,
                    rate=statistics.median(taken) * 1000, unit="ms")  # fmt: skip
        browser.close()


def _draw(page: Page, address: str) -> float:
    """Seconds from navigation until the script has ended and every tile, curve and row is there."""
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(DRAWN, timeout=WAIT_MS, polling=10)
    return time.perf_counter() - start


def _switches(page: Page) -> list[float]:
    found = []
    for label, title in SWITCHES:
        link = page.get_by_test_id("stTopNavLink").filter(has_text=label).first
        start = time.perf_counter()
        link.click()
        page.wait_for_function(SWITCHED, arg=title, timeout=WAIT_MS, polling=10)
        found.append(time.perf_counter() - start)
    return found
