"""Serving runtimes: what a status keeps of the one that a revision runs on."""

from typing import Annotated, Literal

from pydantic import Field

from mooring_operator.api.types import OpenObject, StatusModel

RuntimePolicy = Literal["Follow", "Pinned"]
"""What an edited serving runtime is: a new revision, or nothing."""

LARGEST_RUNTIME = 7_168
"""Bytes of a runtime's spec as JSON: a status holds one for each revision, and etcd takes 1.5 MB for an object."""

SERVER_TYPE = "serving.kserve.io/server-type"
"""KServe's annotation of a runtime: which server runs there, by a name of KServe's."""

OURS = "mooring-inference"
"""What our runtime is called there."""


class PinnedRuntime(StatusModel):
    """A serving runtime as it was when the revision began: edits of it later are another revision's."""

    kind: Annotated[
        Literal["ServingRuntime", "ClusterServingRuntime"], Field(description="Kind of the runtime.")
    ]
    name: Annotated[str, Field(description="Its name.")]
    server_type: Annotated[
        str, Field(description="Which server it runs, by KServe's annotation of it.", max_length=63)
    ] = ""
    spec: Annotated[OpenObject, Field(description="Its spec, as it was.")]

    @property
    def captures(self) -> bool:
        """Whether its server keeps requests as ``spec.serving.capture`` says."""
        return self.server_type == OURS

    @property
    def names_model(self) -> bool:
        """Whether its server has the model's name from a variable, which KServe sets to the InferenceService's."""
        return self.server_type == "mlserver"
