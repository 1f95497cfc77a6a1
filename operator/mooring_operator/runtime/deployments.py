"""Which ModelDeployments there are, and which policies may be about them."""

from collections import defaultdict
from collections.abc import Iterator

from mooring_operator.runtime.workqueue import Key


class Deployments:
    """The keys of ModelDeployments by namespace, with the ModelPolicies that each names.

    By namespace, for there are events about every namespace when the operator starts.
    """

    def __init__(self) -> None:
        self._named: dict[str, dict[Key, frozenset[str]]] = defaultdict(dict)

    def note(self, key: Key, policies: frozenset[str]) -> None:
        """Remember that there is one, and what it names."""
        self._named[key.namespace][key] = policies

    def forget(self, key: Key) -> None:
        """Remember it no more."""
        self._named[key.namespace].pop(key, None)
        if not self._named[key.namespace]:
            del self._named[key.namespace]

    def all(self) -> Iterator[Key]:
        """Yield those of every namespace."""
        for keys in self._named.values():
            yield from keys

    def inside(self, namespace: str) -> Iterator[Key]:
        """Yield those of one namespace."""
        yield from self._named.get(namespace, ())

    def naming(self, namespace: str, policy: str) -> Iterator[Key]:
        """Yield those that name a ModelPolicy of their namespace."""
        for key, policies in self._named.get(namespace, {}).items():
            if policy in policies:
                yield key
