"""The port to model registries and stores: what a model's address points to."""

from typing import Protocol

from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning.rollout.situation import Resolved


class ModelNotFound(Exception):
    """The address points to nothing; a person has to change something."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RegistryUnavailable(Exception):
    """The registry or the store does not answer; try later."""


class Aliases(Protocol):
    """Looks at aliases of registered models, and moves them."""

    async def version_at(self, name: str, alias: str) -> str | None:
        """Give the version that the alias points to; None where it points nowhere.

        Raises:
            ModelNotFound: no registry is known.
            RegistryUnavailable: nobody answers.
        """
        ...

    async def move(self, name: str, alias: str, version: str) -> None:
        """Have the alias point to the version; again, and nothing changes.

        Raises:
            ModelNotFound: there is no such version, or the registry refuses.
            RegistryUnavailable: nobody answers.
        """
        ...


class Registry(Protocol):
    """Looks models up."""

    async def resolve(self, model: ModelSpec, namespace: str) -> Resolved:
        """Say where the model's files are and, where that may be looked up for `namespace`, what they are.

        Raises:
            ModelNotFound: nothing is there, something else than the spec's digest says, or nobody granted a look.
            RegistryUnavailable: nobody answers.
        """
        ...
