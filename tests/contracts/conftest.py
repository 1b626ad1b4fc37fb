"""What the contract tests share: asserts of the suites rewritten, although they are no test modules, and the sandbox's fault dial."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.contracts.suite", "tests.contracts.suite_store", "tests.contracts.suite_wire")

from sandbox import Running  # noqa: E402  (after the rewriting is asked for)
from tests.contracts.suite_sandbox import Dial  # noqa: E402


@pytest.fixture
def dial(box: Running) -> Iterator[Dial]:
    """The dial of the module's own `box`, without any fault before and after each test."""
    dial = Dial(box)
    dial.clear()
    yield dial
    dial.clear()
    dial.close()
