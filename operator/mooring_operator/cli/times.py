"""Times as people read them."""

from datetime import UTC, datetime, timedelta


def age(since: datetime, now: datetime) -> str:
    """Give the time since then as kubectl does: 45s, 12m, 3h, 5d."""
    return short(now - since)


def short(length: timedelta) -> str:
    """Give a length of time in its largest unit that says enough."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size, least in (("d", 86400, 2), ("h", 3600, 2), ("m", 60, 2)):
        if seconds >= least * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse(text: str) -> datetime | None:
    """Read RFC 3339, or give None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age_of(text: str, now: datetime) -> str:
    """Give the age of a time in RFC 3339; a question mark where it is none."""
    moment = parse(text)
    return age(moment, now) if moment else "?"
