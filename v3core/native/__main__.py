"""`python -m v3core.native`: build the library of this installation, unless it is up to date."""

import sys

from v3core.native.build import LIBRARY, BuildError, build

if __name__ == "__main__":
    try:
        build()
        print(f"The native library is {LIBRARY}.")
    except BuildError as error:
        sys.exit(f"Torch computes the network, more slowly than the native library would: {error}")
