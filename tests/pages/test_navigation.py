"""The dashboard's root: which pages a person has, and how the address travels."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import fake, state
from app.desk import Person
from app.fake import FakeDesk

SECONDS = 30
ROOT = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.mark.parametrize(
    ("persona", "pages"),
    [
        ("leader", ["today", "receivables", "cash", "exposure", "journeys"]),
        ("analyst", ["today", "receivables", "cash", "exposure", "journeys", "connections"]),
        ("operator", ["today", "exposure", "exceptions", "journeys", "connections"]),
        ("admin", list(state.PAGES)),
        ("auditor", list(state.PAGES)),
    ],
)
def test_pages_of_a_role(persona: str, pages: list[str]) -> None:
    """Each role opens its own pages; a leader has no exceptions page."""
    assert list(state.pages_of(FakeDesk(persona=persona).person)) == pages


@pytest.mark.parametrize("mood", ["full", "empty", "failing"])
def test_the_root_leads_to_today(mood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard opens on Today and says who is signed in, with which roles and regions."""
    monkeypatch.setenv("TIDEGATE_FAKE_DESK", f"{mood}:leader")
    monkeypatch.setattr(fake, "_kept", {})
    page = AppTest.from_file(ROOT, default_timeout=SECONDS).run()
    assert not page.exception
    assert [title.value for title in page.title] == ["Today"]
    assert any("Lena Leitner" in line.value and "all regions" in line.value for line in page.markdown)


def test_links_lead_only_to_pages_of_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader's Today offers no way to the exceptions page; an admin's does."""
    labels = {}
    for persona in ("leader", "admin"):
        monkeypatch.setenv("TIDEGATE_FAKE_DESK", f"full:{persona}")
        page = AppTest.from_file(ROOT, default_timeout=SECONDS).run()
        labels[persona] = {str(link.proto.label) for link in page.get("page_link")}
    assert not any("exceptions" in label for label in labels["leader"])
    assert any("exceptions" in label for label in labels["admin"])


def test_whoever_has_no_role_sees_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person whose roles were taken away is told so, at whatever address, and sees no figure."""
    monkeypatch.setenv("TIDEGATE_FAKE_DESK", "full:leader")
    monkeypatch.setattr(fake.from_environment("full:leader"), "_person", Person("leader", "Lena Leitner", None, frozenset(), None))
    page = AppTest.from_file(ROOT, default_timeout=SECONDS).run()
    assert not page.metric
    assert any("no role here yet" in line.value for line in page.markdown)


def test_a_session_that_cannot_be_looked_up_is_no_missing_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is down nobody is told to sign in again or to ask for a role: it is not known who they are. Then all is back."""
    monkeypatch.setenv("TIDEGATE_FAKE_DESK", "full:leader")
    asked = fake.from_environment
    monkeypatch.setattr(fake, "from_environment", _down)
    page = AppTest.from_file(ROOT, default_timeout=SECONDS).run()
    told = " ".join(str(line.value) for line in [*page.markdown, *page.caption])
    assert "Your session could not be read just now" in told
    assert "Reference for your administrator" in told
    assert "role" not in told
    assert {button.key for button in page.button} == {"session.again"}
    monkeypatch.setattr(fake, "from_environment", asked)
    page = page.button("session.again").click().run()
    assert [title.value for title in page.title] == ["Today"]


def _down(words: str) -> FakeDesk:
    raise ConnectionError(f"no database for {words}")
