"""The door: `python -m venues kimchi`."""

import sys

from venues.cli import main

if __name__ == "__main__":
    sys.exit(main())
