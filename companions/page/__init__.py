"""The page in the browser: what the bot does, seen from the journal and status.json.

`server` answers the browser, `data` reads, `static/` is what the browser gets. The page never sends
an order: its three buttons leave a command for the bot through the bot file's own command line.
"""
