"""What was found in one cell of the tables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One row of a table: how many canaries a rule decided on, and the median time of the decision, in seconds."""

    table: str
    world: str
    base: float
    per_second: float
    fault: str
    rule: str
    share: float
    median_s: float | None
