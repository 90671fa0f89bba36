"""`python -m clay4d` is the command `clay4d`."""

import sys

from clay4d.cli import main

if __name__ == "__main__":
    sys.exit(main())
