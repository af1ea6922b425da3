"""Lists to choose from have a placeholder of ours: Streamlit's own is English in every language."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_list_has_a_placeholder():
    missing = []
    for path in (ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "v3core" / "ui").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(call, "func", None), "attr", "")
            if name in {"selectbox", "multiselect"} and "placeholder" not in {one.arg for one in call.keywords}:
                missing.append(f"{path.name}:{call.lineno}")
    assert missing == []
