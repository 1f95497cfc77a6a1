"""Says that the operator could not do its work, where it says so on a resource."""

from collections.abc import Iterable, Iterator

from rich.text import Text

from mooring_operator.api.types import Condition
from mooring_operator.planning.status.conditions import RECONCILED


def failure_lines(conditions: Iterable[Condition]) -> Iterator[Text]:
    """Yield a line for the reconcile that failed last; all else in the status is from before it."""
    for condition in conditions:
        if condition.type == RECONCILED:
            yield Text(f"{condition.reason}: {condition.message}", "red")
