"""The door: `python -m venues kimchi`."""

import sys

from venues.cli import main
from venues.memory import give_back

if __name__ == "__main__":
    give_back()
    sys.exit(main())
