"""The table of the phone's words leaves none out."""

import phone_table

import kis_realtime_trading as bot


def test_every_word_of_the_phone_is_said():
    """A new word of COMMANDS has to be added to the table's script."""
    said = {text.split()[0].lstrip("/") for text in phone_table.SAID if text.startswith("/")}
    wanted = {word.name for word in bot.COMMANDS.values() if "phone" in word.doors}
    assert said == wanted | {"yes"}  # the proof of what was asked before


def test_an_answer_stays_in_its_cell():
    """No line break and no bar ends a cell; a long answer is cut unless the whole is asked for."""
    lines = [("/why [A|B]", "ask", 0.52, "one\ntwo|three " + "x" * 200)]
    row = phone_table.table(lines).splitlines()[2]
    assert row.startswith("| `/why [A\\|B]` | ask | 0.5 | one ⏎ two\\|three x") and row.endswith(
        "…  |".replace("  ", " ")
    )
    assert "x" * 200 in phone_table.table(lines, whole=True)
