"""`python -m companions.page --state DIR [--port N]`: show the page until Ctrl-C."""

from companions.page.server import main

if __name__ == "__main__":
    raise SystemExit(main())
