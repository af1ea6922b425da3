"""`python -m v3core.native`: compile the library, once for an installation."""

import sys

from v3core.errors import V3Error
from v3core.native.library import build

if __name__ == "__main__":
    try:
        print(build())
    except V3Error as error:
        sys.exit(f"Error: {error}")
