"""Which backend answers the next request: KServe's weights, dealt out evenly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def standard_weights(stable: str, canaries: Sequence[tuple[str, int, bool]]) -> dict[str, int]:
    """Weights by deployment; a canary is (deployment, percent, ready).

    A canary that is not ready is left out, and stable keeps its share.
    """
    ready = {name: percent for name, percent, is_ready in canaries if is_ready}
    return {stable: 100 - sum(ready.values()), **ready}


class SmoothRoundRobin:
    """Smooth weighted round robin: exact proportions over any 100 requests in a row, no bursts.

    Credits survive a change of weights, so that a change does not start the pattern anew.
    """

    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._credit: dict[str, int] = {}

    def update(self, weights: Mapping[str, int]) -> None:
        """Deal by these weights from now on."""
        if weights == self._weights:
            return
        self._weights = dict(weights)
        self._credit = {name: self._credit.get(name, 0) for name in weights}

    def pick(self) -> str | None:
        """The next name; None where no weight is above zero."""
        total = sum(self._weights.values())
        if total <= 0:
            return None
        for name, weight in self._weights.items():
            self._credit[name] += weight
        chosen = max(
            (name for name, weight in self._weights.items() if weight > 0), key=self._credit.__getitem__
        )
        self._credit[chosen] -= total
        return chosen
