"""What policies have a run find out about a model's files, beside how good it is: a run's parameter `demands`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mooring_artifacts.errors import InputError
from mooring_artifacts.public_keys import LONGEST_PEM, PEM_PATTERN
from mooring_artifacts.uris import LONGEST

FIELD = "demands"
WEB_PATTERN = (
    r"^https://[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.[a-z]([-a-z0-9]*[a-z0-9])?"
    r"(:[1-9][0-9]{0,4})?(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$"
)
"""An address of a file on a web server: a host by its name, no user, no query, nothing that can be read in two ways."""
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
        return is_beside(self.address)


class Demands(_Part):
    """What is looked at; what nobody asked for is not.

    signature: where the signature is, as `Wanted.address` says where a document is; empty: it lies beside the model.
    """

    signature: Annotated[str, Field(max_length=LONGEST)] = ""
    signers: Annotated[list[Signer], Field(max_length=MOST_SIGNERS)] = []
    documents: Annotated[list[Wanted], Field(max_length=MOST_DOCUMENTS)] = []


def is_beside(address: str) -> bool:
    """Whether an address is a path in the model's folder."""
    return "://" not in address


def is_on_the_web(address: str) -> bool:
    """Whether a web server has what is at an address."""
    return address.startswith("https:")


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
