"""Which ModelDeployments there are, and what of others each of them depends on."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from mooring_operator.runtime.workqueue import Key


@dataclass(frozen=True)
class Needs:
    """What a ModelDeployment depends on.

    policies: the ModelPolicies that it names.
    runtimes: the serving runtimes that it names or runs on.
    any_runtime: whether it waits for a runtime, whichever that is.
    templates: the keys of the templates that it is judged by.
    """

    policies: frozenset[str] = frozenset()
    runtimes: frozenset[str] = frozenset()
    any_runtime: bool = False
    templates: frozenset[Key] = frozenset()


class Deployments:
    """The keys of ModelDeployments by namespace, with what each depends on.

    By namespace, for there are events about every namespace when the operator starts.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[Key, Needs]] = defaultdict(dict)

    def note(self, key: Key, needs: Needs) -> None:
        """Remember that there is one, and what it depends on."""
        self._known[key.namespace][key] = needs

    def forget(self, key: Key) -> None:
        """Remember it no more."""
        self._known[key.namespace].pop(key, None)
        if not self._known[key.namespace]:
            del self._known[key.namespace]

    def all(self) -> Iterator[Key]:
        """Yield those of every namespace."""
        for keys in self._known.values():
            yield from keys

    def inside(self, namespace: str) -> Iterator[Key]:
        """Yield those of one namespace."""
        yield from self._known.get(namespace, ())

    def naming(self, namespace: str, policy: str) -> Iterator[Key]:
        """Yield those that name a ModelPolicy of their namespace."""
        for key, needs in self._known.get(namespace, {}).items():
            if policy in needs.policies:
                yield key

    def judged_by(self, template: Key) -> Iterator[Key]:
        """Yield those that a template is for; one without a namespace is for those of every namespace."""
        of_one = [self._known.get(template.namespace, {})] if template.namespace else self._known.values()
        for known in of_one:
            for key, needs in known.items():
                if template in needs.templates:
                    yield key

    def running_on(self, namespace: str, runtime: str) -> Iterator[Key]:
        """Yield those that a serving runtime of a namespace is about; of the cluster, where that is empty."""
        places = [self._known.get(namespace, {})] if namespace else list(self._known.values())
        for known in places:
            for key, needs in known.items():
                if needs.any_runtime or runtime in needs.runtimes:
                    yield key
