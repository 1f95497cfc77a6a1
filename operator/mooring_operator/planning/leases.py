"""Whether somebody holds a Lease, by what was seen of it.

As in client-go, nobody's clock is compared with anybody else's: a holder has gone when its record
has not changed for the lease's duration, by our own monotonic clock, since we first saw it so.
"""

from collections.abc import Mapping
from typing import Any

DURATION = 15.0
"""Seconds that a Lease lasts which does not say for how long."""


class Sighting:
    """What was last seen of one Lease, and since when it has been so, in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._spec: Mapping[str, Any] | None = None
        self._since = 0.0
        self.renewed = False
        """Whether it was seen to change."""

    def is_held(self, spec: Mapping[str, Any], now: float, *, duration: float = DURATION) -> bool:
        """Note the ``spec`` of the Lease as it was just read; give whether its holder may be there.

        duration: seconds after which a holder has gone whose Lease does not say that itself.
        """
        if spec != self._spec:
            self.renewed = self._spec is not None
            self._spec, self._since = spec, now
        if not spec.get("holderIdentity"):
            return False
        return now - self._since < (spec.get("leaseDurationSeconds") or duration)
