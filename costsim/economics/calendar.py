"""Lengths of time that money is counted in: a year is 365.25 days, a month a twelfth of it."""

from __future__ import annotations

from typing import Final

SECONDS_PER_HOUR: Final = 3600.0
SECONDS_PER_DAY: Final = 86400.0
HOURS_PER_YEAR: Final = 8766.0
DAYS_PER_YEAR: Final = 365.25
DAYS_PER_MONTH: Final = DAYS_PER_YEAR / 12
SECONDS_PER_MONTH: Final = DAYS_PER_MONTH * SECONDS_PER_DAY
PER_MILLION: Final = 1e6
