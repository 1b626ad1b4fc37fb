"""What the contract tests share: asserts of the suites rewritten, although they are no test modules, and the sandbox's fault dial."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.suite", "tests.contracts.suite_store", "tests.contracts.suite_wire", "tests.contracts.suite_drift", "tests.contracts.suite_documents", "tests.contracts.suite_sandbox",
    "tests.contracts.suite_forecasts",
)  # fmt: skip

from tests.contracts import suite_sandbox  # noqa: E402  (after the rewriting is asked for)

dial = suite_sandbox.dial
