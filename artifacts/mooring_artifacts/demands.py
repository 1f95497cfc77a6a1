"""What policies have a run find out about a model's files, beside how good it is: a run's parameter `demands`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mooring_artifacts.errors import InputError
from mooring_artifacts.public_keys import LONGEST_PEM, PEM_PATTERN
from mooring_artifacts.uris import LONGEST

FIELD = "demands"
MOST_SIGNERS = 32
MOST_DOCUMENTS = 12
Name = Annotated[str, Field(min_length=1, max_length=63)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Signer(_Part):
    """Somebody who may sign models; `key` is a public key in PEM."""

    name: Name
    key: Annotated[str, Field(pattern=PEM_PATTERN, max_length=LONGEST_PEM)]


class Wanted(_Part):
    """A document that has to be there: at a path in the model's folder, or at an address with a scheme."""

    name: Name
    address: Annotated[str, Field(min_length=1, max_length=LONGEST)]

    @property
    def is_beside(self) -> bool:
        """Whether it lies in the model's folder."""
        return "://" not in self.address


class Demands(_Part):
    """What is looked at; what nobody asked for is not."""

    signers: Annotated[list[Signer], Field(max_length=MOST_SIGNERS)] = []
    documents: Annotated[list[Wanted], Field(max_length=MOST_DOCUMENTS)] = []


def parse_demands(document: Mapping[str, Any]) -> Demands:
    """The demands of a JSON object.

    Raises:
        InputError: it has another form; the message names the first field that is wrong.
    """
    try:
        return Demands.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([FIELD, *map(str, first["loc"])])
        raise InputError(f"{where} is not allowed: {first['msg']}") from error
