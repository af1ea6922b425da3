"""`python -m v3core …`."""

import sys

from v3core.cli import main

sys.exit(main())
