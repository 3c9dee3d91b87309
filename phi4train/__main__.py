"""`python -m phi4train`."""

import sys

from phi4train.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
