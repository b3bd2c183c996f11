"""A day as a picture: `--picture`."""

from __future__ import annotations

import argparse
import importlib.util
import io
import logging
import os
from pathlib import Path

from companions.control import folder_to_read
from companions.journal_reader import find_journals


def korean_font() -> str | None:
    """Return the path of a font with Korean letters, None when there is none."""
    from matplotlib import font_manager

    for font in font_manager.fontManager.ttflist:
        if any(name in font.name for name in ("Nanum", "Noto Sans CJK KR", "Malgun")):
            return str(font.fname)
    spec = importlib.util.find_spec("koreanize_matplotlib")  # carries NanumGothic; not imported
    if spec and spec.origin:
        found = sorted(Path(spec.origin).parent.glob("**/NanumGothic.ttf"))
        return str(found[0]) if found else None
    return None


def draw_picture(options: argparse.Namespace) -> int:
    """Draw price, entries, exits and result of the last day of the first journal."""
    import matplotlib

    from companions import picture, report_view

    matplotlib.use("Agg")
    from matplotlib import font_manager

    font = korean_font()
    if font:
        font_manager.fontManager.addfont(font)
        name = font_manager.FontProperties(fname=font).get_name()
        matplotlib.rcParams["font.family"] = [name, "DejaVu Sans"]
    matplotlib.rcParams["axes.unicode_minus"] = False
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # of a weight that is none
    language, fees = report_view.settings_of(options)
    day = picture.read_drawn(find_journals(folder_to_read(options))[0], fees)
    drawn = io.BytesIO()
    picture.draw(day, bool(font) and language != "en").savefig(drawn, dpi=110)
    write_whole(options.picture, drawn.getvalue())
    print(options.picture)
    return 0


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
