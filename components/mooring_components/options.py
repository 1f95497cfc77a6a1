"""What a test is told beside where model and data are: a run's parameter `test_options`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mooring_artifacts.errors import InputError
from mooring_artifacts.importances import MOST_EXPLAINED
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

FIELD = "test_options"


class Fairness(BaseModel):
    """Groups that are to be treated alike: the values of a column; `positive` is the label that is good to get."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    column: str
    positive: str = ""


class TestOptions(BaseModel):
    """How rows and answers are to be read; the fields are those of `spec.ci.testData`.

    inputs: columns by input of the model.
    output: the one that is compared with the labels; empty: what its type says.
    classes: the labels that the model's scores stand for, in order; empty: what the data says.
    task: what float labels and scores mean; empty: what the data says.
    slices: columns by whose values quality is measured too.
    fairness: groups to compare; None: none.
    noise: levels of noise under which predictions are compared.
    explain: rows by which features are ranked; 0: none.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True
    )

    inputs: dict[str, list[str]] = {}
    output: str = ""
    classes: Annotated[list[int | str], Field(max_length=10_000)] = []
    task: Literal["", "Classification", "Regression"] = ""
    slices: Annotated[list[str], Field(max_length=4)] = []
    fairness: Fairness | None = None
    noise: Annotated[list[Annotated[float, Field(gt=0, le=10)]], Field(max_length=4)] = []
    explain: Annotated[int, Field(ge=0, le=MOST_EXPLAINED)] = 0

    @property
    def beside(self) -> list[str]:
        """Columns that part the rows: no features where the model takes no such number of columns."""
        return [*self.slices, *([] if self.fairness is None else [self.fairness.column])]


def parse_options(document: Mapping[str, Any]) -> TestOptions:
    """The options of a JSON object.

    Raises:
        InputError: it has another form; the message names the first field that is wrong.
    """
    try:
        # Between steps Kubeflow Pipelines makes floats of all numbers.
        classes = [_whole(value) for value in document.get("classes", [])]
        explain = _whole(document.get("explain", 0))
        return TestOptions.model_validate({**document, "classes": classes, "explain": explain})
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):
            raise InputError(f"{FIELD}.classes is not a list") from error
        first = error.errors(include_url=False)[0]
        where = ".".join([FIELD, *map(str, first["loc"])])
        raise InputError(f"{where} {first['input']!r:.200} is not allowed: {first['msg']}") from error


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
