"""What the documentation says of the code is what the code says."""

import pytest

from tests.docs import DOCS, PARTS, renewed


@pytest.mark.parametrize(("file", "name"), PARTS)
def test_generated_parts_are_up_to_date(file, name):
    text = (DOCS / file).read_text(encoding="utf-8")
    assert text == renewed(text, name, PARTS[file, name]()), "write it again with: python -m tests.docs"
