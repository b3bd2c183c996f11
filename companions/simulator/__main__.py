"""Run the server: python -m companions.simulator --help."""

import sys

from companions.simulator.command_line import main

if __name__ == "__main__":
    sys.exit(main())
