"""Programs around the bot: they import it, it imports none of them; none sends an order to KIS.

The bot's file hands over every option that one of these programs serves:

    python kis_realtime_trading.py --demo                      a simulated day, compared book by book
    python kis_realtime_trading.py --decode < frames.txt       raw frames to JSON lines
    python kis_realtime_trading.py --journal                   the journal, readable
    python kis_realtime_trading.py --report                    results over days, stocks, reasons
    python kis_realtime_trading.py --why 0000001234            how one order came about
    python kis_realtime_trading.py --picture day.png           the last day as a picture
    python kis_realtime_trading.py --replay FILE-0000.gz       a recording again, compared row by row
    python kis_realtime_trading.py --print-systemd-unit        a unit for this machine
"""
