"""The way of the broker's public samples, written anew from its description.

An empty table and one pandas.read_csv for each frame with the column names of the TR, all text; a
new AES object for each notice, base64 and unpad; pandas again for bars. Left out, in their favour:
logging each frame.
"""

from __future__ import annotations

import base64
from io import StringIO

import measure  # noqa: F401  puts the project on the path
import pandas
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

from companions import decode

COLUMNS = [field.name for field in decode.LAYOUTS["H0STCNT0"]]


def read_frame(frame: str) -> pandas.DataFrame:
    """Return a frame as a table of texts, a row for each record (with several, not even that)."""
    pandas.DataFrame()  # made before the sample knows whether the frame is data
    payload = frame.split("|")[3]
    return pandas.read_csv(StringIO(payload), header=None, sep="^", names=COLUMNS, dtype=object)


def read_trade(frame: str) -> tuple[str, str, int, int, int, int, int, int]:
    """Return the fields that the bot takes from a frame, as numbers."""
    row = read_frame(frame).iloc[0]
    numbers = (row[name] for name in ("STCK_PRPR", "CNTG_VOL", "ACML_VOL", "ACML_TR_PBMN"))
    price, volume, total, value = map(int, numbers)
    return (
        row["MKSC_SHRN_ISCD"], row["STCK_CNTG_HOUR"], price, volume, total, value,
        int(row["ASKP1"]), int(row["BIDP1"]),
    )  # fmt: skip


def decrypt(key: str, iv: str, text: str) -> str:
    """Return the plain text of a notice."""
    cipher = AES.new(key.encode("utf-8"), AES.MODE_CBC, iv.encode("utf-8"))
    return bytes.decode(unpad(cipher.decrypt(base64.b64decode(text)), AES.block_size))


def bars(history: pandas.DataFrame, minutes: int) -> pandas.DataFrame:
    """Return the bars of a table of trades (index: time; columns price, volume)."""
    groups = history.resample(f"{minutes}min")
    table = groups["price"].ohlc()
    table["volume"] = groups["volume"].sum()
    return table
