"""Shows values where an assertion of a conformance suite fails."""

import pytest

pytest.register_assert_rewrite("segad_core.testing")
