"""The pages under test: one page over one fake desk, or the whole dashboard over the fake desk of the environment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.fake import FakeDesk

SECONDS = 30


def _page(slug: str, desk: object) -> None:
    import importlib

    importlib.import_module(f"app.pages.{slug}").render(desk)


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Opens one page over a desk, with an address, and runs it once."""

    def opened(slug: str, desk: FakeDesk, **params: str) -> AppTest:
        page = AppTest.from_function(_page, args=(slug, desk), default_timeout=SECONDS)
        for name, value in params.items():
            page.query_params[name] = value
        return page.run()

    return opened


def all_text(page: AppTest) -> str:
    """Everything that the page says in words."""
    kinds = (
        page.title,
        page.header,
        page.subheader,
        page.markdown,
        page.caption,
        page.warning,
        page.error,
        page.info,
        page.text,
        page.code,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind)
