"""`python -m v3core …`, and the command `v3lab`."""

import sys

from v3core.output import own_output, prepare


def run() -> None:
    """Run the command that the process was given, and end the process."""
    prepare()
    with own_output():  # a package that registers environments may print when it is imported
        from v3core.cli import main

    sys.exit(main())


if __name__ == "__main__":
    run()
