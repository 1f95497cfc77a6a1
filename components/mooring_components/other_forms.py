"""Whether a model says the same in all the formats in which it is kept: PyTorch's, an exported program, ONNX.

What is served stands at the top of the model's folder; its other forms stand below `forms`, each with what belongs to
it, such as an `architecture.json`. Who changes one and forgets another is found here, and not by those who use it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.text import in_a_line
from mooring_inference.backends.formats import MODEL_SUFFIXES
from mooring_inference.tensors import Array, TensorSpec

from mooring_components.consistency import ROWS, difference
from mooring_components.evidence import LONGEST_NAME, LONGEST_REASON, OtherForm
from mooring_components.feeding import FedModel
from mooring_components.models import Model, open_model

METRIC, FOLDER = "formatDifference", "forms"
NONE = f"no folder {FOLDER!r} beside the model holds it in another format"
_SECONDS = 5.0
Request = Mapping[str, Array]


def compare_forms(fed: FedModel, seconds: float = _SECONDS) -> list[OtherForm]:
    """Ask each other form of a model for up to 32 rows of the test data, one by one, and compare all outputs.

    Differences are those of `consistency.difference`. A form that cannot be loaded, asked or compared has a problem. A
    slow form is asked for fewer rows.

    Raises:
        InputError: a row does not fit the model itself, or it fails on it.
        MemoryError: it takes more memory than there is.
    """
    files = _find(fed.model.folder)
    if not files:
        return []
    assert fed.model.folder is not None
    requests = fed.single_rows(ROWS)
    answers = [fed.answer(request) for request in requests]
    found = [_compare(fed.model, fed.model.folder, file, requests, answers, seconds) for file in files]
    for each in found:
        print(f"{in_a_line(each.file, LONGEST_NAME)}: {_in_words(each)}")
    return found


def worst_of_forms(forms: Sequence[OtherForm]) -> float | str:
    """The largest difference of all forms; why there is none where one of them cannot be compared."""
    if not forms:
        return NONE
    if wrong := next((each for each in forms if each.problem), None):
        return f"{wrong.file}: {wrong.problem}"
    return max(each.difference for each in forms)


def _in_words(form: OtherForm) -> str:
    if form.problem:
        return in_a_line(form.problem, LONGEST_REASON)
    if not form.difference:
        return "says what the model says"
    return f"output {form.output!r} differs by {form.difference:.3g} for row {form.row}"


def _find(folder: Path | None) -> list[Path]:
    if folder is None or not (below := folder / FOLDER).is_dir():
        return []
    return sorted(
        path
        for path in below.rglob("*")
        if path.suffix in MODEL_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _compare(
    model: Model,
    folder: Path,
    file: Path,
    requests: Sequence[Request],
    answers: Sequence[Sequence[Array]],
    seconds: float,
) -> OtherForm:
    name = file.relative_to(folder).as_posix()[-LONGEST_NAME:]
    try:
        form = open_model(file, name, allow=model.allow)
    except (InputError, MemoryError) as error:
        return OtherForm(file=name, problem=first_line(error)[:LONGEST_REASON])
    try:
        inputs = _pairs("input", model.signature.inputs, form.signature.inputs)
        outputs = _pairs("output", model.signature.outputs, form.signature.outputs)
        worst, deadline = OtherForm(file=name), time.perf_counter() + seconds
        for row, (request, answer) in enumerate(zip(requests, answers, strict=True)):
            if row and time.perf_counter() > deadline:
                break
            given = _ask(form, {inputs[each]: array for each, array in request.items()}, row)
            for spec, one in zip(model.signature.outputs, answer, strict=True):
                if (far := difference(one, given[outputs[spec.name]])) > worst.difference:
                    worst = OtherForm(file=name, difference=far, output=spec.name[:LONGEST_NAME], row=row)
    except InputError as error:
        return OtherForm(file=name, problem=str(error)[:LONGEST_REASON])
    finally:
        form.backend.close()
    return worst


def _pairs(what: str, ours: Sequence[TensorSpec], theirs: Sequence[TensorSpec]) -> dict[str, str]:
    """What each input or output is called in the other form: exporters that were not told invent names.

    Raises:
        InputError: it has others, or several that are called otherwise.
    """
    names, others = [spec.name for spec in ours], [spec.name for spec in theirs]
    if set(names) == set(others):
        return dict(zip(names, names, strict=True))
    if len(names) == len(others) == 1:
        return {names[0]: others[0]}
    raise InputError(
        f"its {what}s are {', '.join(others)}; those of the model that serves {', '.join(names)}"
    )


def _ask(form: Model, request: Request, row: int) -> dict[str, Array]:
    names = form.signature.output_names
    try:
        return dict(zip(names, form.backend.predict(request, names), strict=True))
    except Exception as error:  # what a model raises is up to it
        raise InputError(f"it fails on row {row}: {first_line(error) or type(error).__name__}") from error
