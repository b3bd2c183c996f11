"""Decrypt an order notice of 158 bytes.

Ours: FrameDecoder.open_frame, with its checks of frame, base64, padding and UTF-8. Official: split
at "|", base64, a new AES object, unpad. Floor: AES alone, one object kept, on bytes that are ready.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Iterator, Sequence

import frames
import measure
import official
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

import kis_realtime_trading as bot

KEY, IV = "an-invented-key-of-32-characters", "0123456789abcdef"


def notice(n: int) -> str:
    """Return the plain text of a notice of a fill, 158 bytes."""
    head = (
        f"HTSID^1234567801^{n:010d}^^02^0^00^0^100010^0000000010^000071900^093354^0^2^2^06010^"
        "000000010^NAME^1^N^N^^10^^INVENTED^"
    )
    return head + "0" * (158 - len(head))


def figures(options: argparse.Namespace) -> Iterator[measure.Figure]:
    """Measure and yield the figures."""
    count = 20 if options.quick else 200
    cipher = AES.new(KEY.encode(), AES.MODE_CBC, IV.encode())
    texts = []
    for n in range(count):
        raw = AES.new(KEY.encode(), AES.MODE_CBC, IV.encode()).encrypt(pad(notice(n).encode(), 16))
        texts.append(f"1|H0STCNI0|001|{base64.b64encode(raw).decode()}")
    raws = [IV.encode() + base64.b64decode(text[15:]) for text in texts]
    decoder = bot.FrameDecoder(day=frames.DAY)
    decoder.set_key("H0STCNI0", KEY, IV)
    open_frame = decoder.open_frame
    if [open_frame(text)[2] for text in texts] != [notice(n) for n in range(count)]:
        raise AssertionError("a notice was read wrongly")

    def ours() -> None:
        for text in texts:
            open_frame(text)

    def theirs() -> None:
        for text in texts:
            official.decrypt(KEY, IV, text.split("|")[3])

    def alone() -> None:
        for raw in raws:
            cipher.decrypt(raw)

    best = measure.seconds_of({"ours": ours, "theirs": theirs, "alone": alone}, options.rounds)
    yield measure.plain(
        "notice of 158 bytes, frame to plain text", best["ours"] / count * 1e6, "us"
    )
    yield measure.at_least("notice: official way / ours", best["theirs"] / best["ours"], 2.5)
    yield measure.plain("notice: ours / decryption alone", best["ours"] / best["alone"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark."""
    options = measure.read_options(measure.parser_of(__doc__, 500), arguments)
    return measure.show(figures(options), options)


if __name__ == "__main__":
    raise SystemExit(main())
