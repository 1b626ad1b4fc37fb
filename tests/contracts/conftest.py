"""The contract suite's asserts are rewritten by pytest although it is no test module itself."""

import pytest

pytest.register_assert_rewrite("tests.contracts.suite", "tests.contracts.suite_store", "tests.contracts.suite_wire")
