"""How those who share something limited leave room for each other.

Source: Choudhury and Hahne 1998, "Dynamic queue length thresholds for shared-memory packet switches".
"""


def may_take(held: int, free: int) -> bool:
    """Whether somebody who holds `held` of something may have one more while `free` are left.

    Nobody takes the last that others could have: one alone comes to half of all, two to a third each, and
    whoever holds none gets one while there is one.
    """
    return free > held or (held == 0 and free > 0)
