"""The port to model registries and stores: what a model's address points to."""

from typing import Protocol

from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning.situation import Resolved


class ModelNotFound(Exception):
    """The address points to nothing; a person has to change something."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RegistryUnavailable(Exception):
    """The registry or the store does not answer; try later."""


class Registry(Protocol):
    """Looks models up."""

    async def resolve(self, model: ModelSpec) -> Resolved:
        """Say where the model's files are, and what they are.

        Raises:
            ModelNotFound: nothing is there, or something else than the spec's digest says.
            RegistryUnavailable: nobody answers.
        """
        ...
