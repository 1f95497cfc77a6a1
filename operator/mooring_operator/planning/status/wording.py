"""Clauses that many messages end with."""

from mooring_operator.api.rollout_status import Revision


def because(why: str) -> str:
    """Give `why` behind a colon; nothing where there is nothing to say."""
    return f": {why}" if why else ""


def by_whom(user: str) -> str:
    """Name who did something, behind a blank; nothing where that is not known."""
    return f" by {user}" if user else ""


def one_line(text: str, longest: int = 500) -> str:
    """Give what others wrote as it may stand in a status, an Event or a log: one printable line, not too long."""
    line = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def keeps_serving(stable: Revision | None, *, otherwise: str = "") -> str:
    """Say which revision users still get, or `otherwise` where there is none, behind a semicolon."""
    clause = f"revision {stable.revision} keeps serving" if stable is not None else otherwise
    return f"; {clause}" if clause else ""
