"""Schedules in cron's five fields, as a CronJob takes them.

Source: robfig/cron 3.0.1, ParseStandard, by which Kubernetes judges `spec.schedule`. What its grammar lets through and
nobody means is refused here: `*-5` (the 5 is ignored), a field of commas alone (never), signs, white space other than
blanks and tabs, and `@every` with parts of a second.
"""

import re

_BLANK = r"[ \t]"
_STEP = "0*[1-9][0-9]{0,17}"
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NUMBERS = {name: number for number, name in enumerate(_WEEKDAYS)} | {
    name: number for number, name in enumerate(_MONTHS, start=1)
}
"""What names stand for; no weekday is called like a month."""


def _field(number: str, names: tuple[str, ...] = ()) -> str:
    value = f"(0*({number})" + (f"|(?i:{'|'.join(names)})" if names else "") + ")"
    item = f"([*?]|{value}(-{value})?)(/{_STEP})?"
    return _list(item)


def _list(item: str) -> str:
    return f",*{item}(,+{item})*,*"


_FIELDS = (
    _field("[0-5]?[0-9]"),
    _field("1?[0-9]|2[0-3]"),
    _field("[1-9]|[12][0-9]|3[01]"),
    _field("[1-9]|1[0-2]", _MONTHS),
    _field("[0-6]", _WEEKDAYS),
)
_TIME = r"([0-9]{1,5}(\.[0-9]*)?|\.[0-9]+)[hms]"
_MACROS = f"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every ({_TIME})+)"
PATTERN = f"^({_BLANK}*{f'{_BLANK}+'.join(_FIELDS)}{_BLANK}*|{_MACROS})$"
"""All but that the ranges go upwards."""

NEVER = (
    rf"^\s*\S+\s+\S+\s+({_list('0*3[01](-0*31)?')}\s+{_list('(0*2|(?i:FEB))')}"
    rf"|{_list('0*31')}\s+{_list('(0*([2469]|11)|(?i:FEB|APR|JUN|SEP|NOV))')})\s+[*?]\s*$"
)
"""Days that none of their months has, as people write them: 30 February, and the 31st of short months. A weekday beside
them would be another day on which it comes.
"""
WHY_NEVER = "never comes: none of its months has such a day"
ALLOWED = (
    "a schedule: write minute (0-59), hour (0-23), day (1-31), month (1-12, JAN-DEC) and weekday (0-6, SUN-SAT), each "
    "* or a list of values, ranges upwards and steps, like */15 9-17 * * MON-FRI; or @daily, @hourly, @every 1h30m ..."
)

_SEPARATORS = re.compile(r"[ \t,/]")


def backward_range(schedule: str) -> str | None:
    """Give the first range of a schedule of the pattern's form that ends before it begins; None where there is none."""
    for part in _SEPARATORS.split(schedule):
        first, dash, last = part.partition("-")
        if dash and _number(first) > _number(last):
            return part
    return None


_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def never_comes(schedule: str) -> bool:
    """Whether no month of a schedule of the pattern's form has one of its days, however ranges and steps say them."""
    fields = schedule.split()
    if len(fields) != len(_FIELDS) or set(fields[4].split(",")) - {"", "*", "?"}:
        # On its weekdays it comes as well.
        return False
    days, months = _values(fields[2], 1, 31), _values(fields[3], 1, 12)
    return all(day > _DAYS[month - 1] for day in days for month in months)


_NAMED = {
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
    "monthly": "0 0 1 * *",
    "weekly": "0 0 * * 0",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_EVERY_DAY = frozenset("*?")


def in_numbers(schedule: str) -> str:
    """Give a schedule of the pattern's form as five fields of numbers alone, for whoever reads cron's plain form.

    A day or weekday of which any item is a star leaves the choice to the other one: such a field begins with a star.
    """
    fields = _NAMED.get(schedule.strip().removeprefix("@"), schedule).split()
    return " ".join(_in_numbers(field, *bounds) for field, bounds in zip(fields, _RANGES, strict=True))


def _in_numbers(field: str, least: int, most: int) -> str:
    values = sorted(_values(field, least, most))
    numbers = ",".join(str(value) for value in values)
    starred = [item for item in field.split(",") if item[:1] in _EVERY_DAY]
    # All its values are among the numbers.
    return f"*/{starred[0].partition('/')[2] or 1},{numbers}" if starred else numbers


def _values(field: str, least: int, most: int) -> set[int]:
    """Give the numbers that a field stands for; one with a step and no end goes on to the greatest."""
    found: set[int] = set()
    for item in filter(None, field.split(",")):
        bounds, _, step = item.partition("/")
        first, _, last = bounds.partition("-")
        start = least if first in ("*", "?") else _number(first)
        end = most if first in ("*", "?") or (step and not last) else _number(last or first)
        found.update(range(start, end + 1, int(step or 1)))
    return found


def _number(text: str) -> int:
    number = _NUMBERS.get(text.upper())
    return int(text) if number is None else number


def _numbers_in_cel(text: str) -> str:
    return text + "".join(f".replace('{name.lower()}', '{number}')" for name, number in _NUMBERS.items())


_RANGES_IN_CEL = (
    _numbers_in_cel("self.lowerAscii()")
    + r".replace('\t', ',').replace(' ', ',').replace('/', ',').split(',').filter(part, part.contains('-'))"
)
RULES = [
    {
        "rule": f"self.matches(r'{PATTERN}') && "
        f"{_RANGES_IN_CEL}.all(range, int(range.split('-')[0]) <= int(range.split('-')[1]))",
        "messageExpression": f"'\"' + self + '\" is not {ALLOWED}'",
    },
    {"rule": f"!self.matches(r'{NEVER}')", "messageExpression": f"'\"' + self + '\" {WHY_NEVER}'"},
]
"""What the API server judges by: a rule has a message, where a pattern would be shown as it is."""
