"""What comes of an adoption."""

from dataclasses import dataclass
from typing import Any

from mooring_operator.api import API_VERSION
from mooring_operator.api.names import ADOPT_ANNOTATION

Object = dict[str, Any]


@dataclass(frozen=True)
class AdoptedDeployment:
    """A ModelDeployment for something that runs.

    left_out: place by place, what it does not say.
    takes_over: the object that becomes its first revision as it runs, as NAME/UID; empty for none.
    """

    name: str
    namespace: str
    spec: Object
    left_out: tuple[str, ...] = ()
    takes_over: str = ""

    @property
    def manifest(self) -> Object:
        """The resource, to be applied."""
        metadata: Object = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        if self.takes_over:
            metadata["annotations"] = {ADOPT_ANNOTATION: self.takes_over}
        return {"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": metadata, "spec": self.spec}
