"""The model that these tests change, store in other ways and compare with."""

from pathlib import Path

import pytest

from tests.helpers.mplug_owl2_models import write_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Directory of a small mPLUG-Owl2 with weights that ``tensors_of`` gives again; to be read only."""
    return write_model(tmp_path_factory.mktemp("mplug-owl2"))
