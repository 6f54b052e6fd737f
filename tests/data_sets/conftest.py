"""Scripts run within this process; tests of the process itself start their own."""

import pytest
from helpers import in_process


@pytest.fixture
def script(tmp_path):
    """Run a `preprocess.py` with local builds under tmp_path/build; the exit status and what it printed."""
    return lambda *arguments: in_process.run(tmp_path / "build", *arguments)
