"""No network: published weights are replaced by random ones, as `restore` does."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from segad_anomalib.models import no_weights


@pytest.fixture(scope="session", autouse=True)
def random_weights():
    with no_weights():
        yield
