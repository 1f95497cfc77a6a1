"""Counts how many requests two revisions answered otherwise, and writes it where the kubelet reads it."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.measuring import QUESTION
from mooring_artifacts.webhooks import INSUFFICIENT

from mooring_components.agreement.captured import Wanted, read_answers
from mooring_components.agreement.joining import Counts, Join
from mooring_components.measuring.telling import SAYS, printable, tell

_AROUND = timedelta(seconds=30)
"""A copy is answered sooner or later than what it is a copy of."""


def compare(question: Mapping[str, Any]) -> Counts:
    """Join what both revisions kept.

    Raises:
        InputError: something cannot be read, or cannot be compared so.
    """
    since, until = (datetime.fromisoformat(question[name]) for name in ("since", "until"))
    tolerance = question["tolerance"]
    wanted = Wanted(since, until, question["output"], tolerance is not None)
    join = Join(tolerance)
    for rows in read_answers(question["stable"], wanted, "stable"):
        join.stable(rows)
    around = Wanted(since, until, question["output"], tolerance is not None, _AROUND)
    for rows in read_answers(question["candidate"], around, "candidate"):
        join.candidate(rows)
    return join.counts()


def run(environment: Mapping[str, str], says: Path = SAYS) -> int:
    """Compare as the environment says, tell the counts or why there are none, and give the exit code."""
    question = json.loads(environment[QUESTION])
    try:
        found = asdict(compare(question))
    except (InputError, StoreUnavailable) as error:
        return tell(printable(error, 400), INSUFFICIENT, says)
    return tell(json.dumps({**found, "until": question["until"]}), 0, says)


if __name__ == "__main__":
    sys.exit(run(os.environ))
