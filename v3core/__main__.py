"""`python -m v3core …`."""

import sys

from v3core.output import own_output, prepare

prepare()
with own_output():  # a package that registers environments may print when it is imported
    from v3core.cli import main

sys.exit(main())
