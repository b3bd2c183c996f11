"""Take the command line that the bot's file hands over by starting `python companions ...`.

Reads only what a start needs; each program is a module of its own beside this one.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":  # until run_guarded Ctrl-C ends it at once: no trace of an import
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # blocked by the bot's file while Python started again
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))

import sys
from pathlib import Path

if __name__ == "__main__":
    # A folder that is run stands first on the path: the project's own folder takes its place.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    import kis_realtime_trading as bot
    from companions.options import read_arguments

    bot.show_any_letter()
    options = read_arguments(sys.argv[1:])  # a mistake, or --help, needs no more than this
    from companions.command_line import run_command
    from companions.plain_words import in_plain_words

    exit_code = bot.run_guarded(options, in_plain_words(run_command))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be ended in order
    sys.exit(exit_code)
