"""History through the bot's own engine, rules, exits, ledger and costs.

`history` reads and makes bars, `broker` answers orders, `run` is the day's loop, `command` the
command line. What was tested is what runs: the same Engine and the same strategy classes.
"""
