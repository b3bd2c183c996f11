"""Other venues beside the bot: Upbit, Binance and the kimchi premium, as a process of its own.

It imports the bot file for what is free of shares and won (journal, redactor, order states,
Telegram outbox); the bot never imports it. `python -m venues` is the one door.
"""
