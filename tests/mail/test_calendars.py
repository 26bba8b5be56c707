"""Days in the calendars of Iran and Thailand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.mail.calendars import persian
from tests.mail.letters import job, message, renderer

DAYS = {
    date(2026, 3, 21): (1405, 1, 1),
    date(2025, 3, 20): (1403, 12, 30),  # a leap year's last day
    date(2026, 3, 20): (1404, 12, 29),
    date(2026, 9, 22): (1405, 6, 31),
    date(2026, 9, 23): (1405, 7, 1),
    date(1979, 2, 11): (1357, 11, 22),
    date(1925, 3, 31): (1304, 1, 11),
    date(2124, 3, 19): (1502, 12, 29),
}


@pytest.mark.parametrize(("day", "expected"), DAYS.items(), ids=map(str, DAYS))
def test_a_persian_day(day, expected):
    """As the calendar of Iran has it."""
    assert persian(day) == expected


@given(st.dates(date(1865, 3, 21), date(2124, 3, 19)))
def test_days_follow_each_other(day):
    """The next day is the next of its month, or the first of the next one; six months have 31 days, the last 29 or 30."""
    year, month, number = persian(day)
    longest = 31 if month <= 6 else 30
    assert 1 <= number <= longest
    if persian(day + timedelta(1)) != (year, month, number + 1):
        assert number in ((29, 30) if month == 12 else (longest,))
        assert persian(day + timedelta(1)) == ((year + 1, 1, 1) if month == 12 else (year, month + 1, 1))


SHOWN = {
    ("fa", "'full', 'persian'"): "شنبه ۱ فروردین ۱۴۰۵",
    ("fa", "'short', 'persian'"): "۱۴۰۵/۱/۱",
    ("en", "'long', 'persian'"): "1 Farvardin 1405",
    ("th", "'medium', 'buddhist'"): "21 มี.ค. 2569",
    ("th", "'full', 'buddhist'"): "วันเสาร์ที่ 21 มีนาคม พ.ศ. 2569",
    ("th", "'short', 'buddhist'"): "21/3/69",
    ("es", "'long', 'buddhist'"): "21 de marzo de 2569",
    ("en", "'long'"): "March 21, 2026",
}


@pytest.mark.parametrize(("language", "how"), SHOWN.keys())
def test_a_day_in_a_letter(language, how):
    """In the words and digits of the letter's language."""
    letter = message(f"({{{{ today | date({how}) }}}})")
    made = renderer(x=letter, x__fa=letter, x__th=letter, x__es=letter).render(
        job("x", language=language, today=date(2026, 3, 21))
    )

    assert f"({SHOWN[language, how]})" in made.html
