"""Model files of the reduced network, written once for all tests of the engine."""

from __future__ import annotations

import pytest

from tests import formula
from tests.formula import ModelFiles


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return formula.write_models(tmp_path_factory.mktemp("models"))
