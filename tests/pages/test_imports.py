"""Pages must open fast: none of them loads torch."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60)
if sys.argv[1] != "app.py":
    app.switch_page(sys.argv[1])
app.run()
assert not app.exception, app.exception
print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "page",
    ["app.py", *(f"pages/{page}.py" for page in ("launch", "live", "compare", "replay", "claims", "tour"))],
)
def test_no_page_loads_torch(page, tmp_path, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, page], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == "False"
