"""How a fault of the planner is planted, and what has to find it."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

Function = Callable[..., Any]


def plant(patch: pytest.MonkeyPatch, owner: Any, name: str, fault: Callable[[Function], Function]) -> None:
    """Put a faulty function in place of another, wherever it was imported to."""
    original = getattr(owner, name)
    faulty = fault(original)
    patch.setattr(owner, name, faulty)
    for module in [m for n, m in sys.modules.items() if n.startswith("mooring_operator.planning")]:
        for known, value in list(vars(module).items()):
            if value is original:
                patch.setattr(module, known, faulty)


def always(value: Any) -> Callable[[Function], Function]:
    return lambda original: lambda *args, **kwargs: value


def first(original: Function) -> Function:
    """Give back what is passed in: the rule has no say."""
    return lambda draft, *args, **kwargs: draft


SAFETY, ASKED, EDITED, ENDS, WRONG = "any", "asked", "edited", "ends", "wrong"
CRASH, TURN, BESIDE, CUT_OFF, FREEZE, BACK, ANEW, FOLLOWS = (
    "crash",
    "turn",
    "beside",
    "cut off",
    "freeze",
    "back",
    "anew",
    "follows",
)
HELD_UP, HALF_WAY, TESTED, COUNTED, KEPT, CHECKED, JUDGED, EVERY = (
    "held up",
    "half-way",
    "tested",
    "counted",
    "kept",
    "checked",
    "judged",
    "every",
)
"""Which property a fault is seen by, and in which stories soonest."""

Faults = dict[str, tuple[str, Any, str, Callable[[Function], Function]]]
"""By what is wrong: what finds it, whose function is replaced, its name, and how."""
