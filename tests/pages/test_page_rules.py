"""What pages may not do, held over their source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"
SOURCES = sorted(
    [*APP.glob("pages/*.py"), *APP.glob("widgets/*.py"), *APP.glob("charts/*.py"), APP / "main.py", APP / "state.py", APP / "export.py"]
)


def name_of(path: Path) -> str:
    return path.relative_to(APP).as_posix()


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def called(call: ast.Call) -> str:
    return ast.unparse(call.func)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_page_writes_html_of_its_own(path: Path) -> None:
    """Nothing allows HTML in Markdown; st.html gets our stylesheet alone, never data."""
    for call in calls(path):
        assert not any(keyword.arg in ("unsafe_allow_html", "unsafe_allow_javascript") for keyword in call.keywords), called(call)
        if called(call) == "st.html":
            assert name_of(path) == "widgets/frame.py"
            assert [ast.unparse(argument) for argument in call.args] == ["_STYLE"]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_page_caches(path: Path) -> None:
    """A cache in a page could show one person what another may see: pages, widgets and charts have none."""
    assert not any(part in path.read_text(encoding="utf-8") for part in ("cache_data", "cache_resource", "lru_cache"))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_widget_has_a_stable_key(path: Path) -> None:
    """Whatever a person can press or fill in is found by its key, not by its place."""
    widgets = {f"st.{name}" for name in ("button", "selectbox", "multiselect", "text_input", "text_area", "checkbox", "toggle", "number_input", "date_input", "time_input",
                                         "dataframe", "plotly_chart", "download_button", "segmented_control", "form_submit_button", "pagination")}  # fmt: skip
    missing = [
        f"{called(call)} in line {call.lineno}"
        for call in calls(path)
        if called(call) in widgets and not any(keyword.arg == "key" for keyword in call.keywords)
    ]
    assert missing == []


def test_charts_know_no_streamlit() -> None:
    """Charts and the state of pages are pure: neither imports Streamlit."""
    for path in [*APP.glob("charts/*.py"), APP / "state.py", APP / "export.py", APP / "widgets" / "words.py"]:
        assert "streamlit" not in path.read_text(encoding="utf-8").replace("knows no Streamlit", "").replace("no Streamlit", ""), path.name


def test_the_look_calls_no_outside_host() -> None:
    """No font, icon or style comes from another host, and nothing is reported to one."""
    settings = (APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    assert "http" not in settings
    assert "gatherUsageStats = false" in settings
    assert "disableDataExport = true" in settings
    assert 'showErrorDetails = "none"' in settings
    assert "http" not in (APP / "widgets" / "tidegate.css").read_text(encoding="utf-8")
    assert not any(":material/" in path.read_text(encoding="utf-8") for path in SOURCES)
