"""Scripts run within this process; tests of the process itself start their own."""

import pytest
from helpers import in_process


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Run a script with local builds under tmp_path/build; the exit status and what it printed."""

    def run(*arguments, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return in_process.run(tmp_path / "build", *arguments)

    return run
