"""What a model said of each row of test data, beside what is right: classes, or numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.errors import InputError
from mooring_inference.tensors import Array, TensorSpec

from mooring_components.datasets import TestData
from mooring_components.feeding import FedModel
from mooring_components.options import TestOptions

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Label = int | str

NONE = -1
"""The code of a row for which the model said nothing that is a class, such as NaN."""
_SUM_TOLERANCE = 1e-3
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Classified:
    """Classes of rows, as codes into `classes`.

    actual: (rows,). predicted: (rows,), NONE where there is no answer.
    scores: (rows, columns), one for each class of `columns`; None where the model gives none, or none for each class.
    hint: why the labels may not mean what the model's output means; empty where they fit.
    """

    classes: Sequence[Label]
    actual: Codes
    predicted: Codes
    scores: Floats | None = None
    columns: Sequence[int] = ()
    invalid: int = 0
    hint: str = ""

    @property
    def are_probabilities(self) -> bool:
        """Whether the scores of each row are shares of 1."""
        scores = self.scores
        return scores is not None and bool(
            np.isfinite(scores).all()
            and (scores >= 0).all()
            and (np.abs(scores.sum(axis=1) - 1) < _SUM_TOLERANCE).all()
        )


@dataclass(frozen=True)
class Estimated:
    """Numbers for rows: what is right and what the model said, (rows,), in the label's unit."""

    actual: Floats
    predicted: Floats
    invalid: int = 0
    hint: str = ""


def aligned(one: Classified, two: Classified) -> tuple[Classified, Classified]:
    """Two outcomes of the same rows, with codes into the classes of both."""
    classes = _sorted({*one.classes, *two.classes})
    return _recoded(one, classes), _recoded(two, classes)


def _recoded(outcome: Classified, classes: Sequence[Label]) -> Classified:
    codes = {label: code for code, label in enumerate(classes)}
    # The last entry is for NONE, which is -1.
    table = np.array([*(codes[label] for label in outcome.classes), NONE], dtype=np.int64)
    return replace(
        outcome,
        classes=classes,
        actual=table[outcome.actual],
        predicted=table[outcome.predicted],
        columns=[int(table[code]) for code in outcome.columns],
    )


@dataclass(frozen=True)
class Answers:
    """What a model gives for all rows: labels of its own, scores (rows, columns) or (rows,), or both.

    form: what they are called in messages.
    """

    labels: Array | None
    scores: Floats | None
    form: str


def observe(fed: FedModel, data: TestData, options: TestOptions) -> Classified | Estimated:
    """Run the model on all rows.

    Raises:
        InputError: a row does not fit the model, or what it gives does not fit the labels.
    """
    return conclude(data.labels, _ask(fed, options, len(data)), options)


def conclude(labels: Array, answers: Answers, options: TestOptions) -> Classified | Estimated:
    """Set what a model gave for rows beside what is right.

    Args:
        labels: (rows,): float64, int64 or str objects.
        answers: of the same rows.
        options: how both are read.

    Raises:
        InputError: what it gave does not fit the labels.
    """
    if _is_regression(labels, answers, options):
        return _estimated(labels, answers)
    if labels.dtype.kind == "f":
        if not (labels == np.floor(labels.astype(np.float64))).all():
            raise InputError("the label column holds fractions, which are no classes: leave task out")
        labels = labels.astype(np.int64)
    return _classified(labels, answers, options)


def _ask(fed: FedModel, options: TestOptions, rows: int) -> Answers:
    return read_answers(fed.predict(asked_outputs(fed, options)), rows)


def asked_outputs(fed: FedModel, options: TestOptions) -> list[TensorSpec]:
    """The outputs that answers are read from, the most important one first.

    Raises:
        InputError: the model has no such output.
    """
    specs = fed.model.signature.outputs
    if options.output:
        specs = tuple(spec for spec in specs if spec.name == options.output)
        if not specs:
            known = ", ".join(spec.name for spec in fed.model.signature.outputs)
            raise InputError(
                f"spec.ci.testData.output {options.output!r} is no output of the model; it has {known}"
            )
    return _pick(specs)


def read_answers(found: Sequence[Array], rows: int) -> Answers:
    """Tell labels from scores among a model's outputs for `rows` rows, the most important one first."""
    label = scores = None
    for array in found:
        flat = array.reshape(rows) if array.size == rows else array
        if array.dtype.kind == "f" and scores is None:
            scores = flat.astype(np.float64)
        elif label is None and flat.ndim == 1 and array.dtype.kind in "biuOUS":
            label = flat
    if scores is not None and scores.ndim > 2:
        squeezed = scores.reshape([rows, *(size for size in scores.shape[1:] if size > 1)])
        scores = squeezed if squeezed.ndim == 2 else None
    return Answers(label, scores, f"{found[0].dtype} of shape {found[0].shape}")


def _pick(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """The first output, and the first of the other kind that has a row for each row: labels beside scores."""
    first, *others = specs
    is_float = first.datatype.dtype.kind == "f"
    other = (
        spec
        for spec in others
        if (spec.datatype.dtype.kind == "f") != is_float
        and len(spec.shape) in (1, 2)
        and spec.shape[0] is None
    )
    return [first, *([found] if (found := next(other, None)) is not None else [])]


def _is_regression(labels: Array, answers: Answers, options: TestOptions) -> bool:
    if options.task:
        return options.task == "Regression"
    if labels.dtype.kind != "f":
        return False
    scores = answers.scores
    wide = scores is not None and scores.ndim == 2
    if wide or (answers.labels is not None and answers.labels.dtype.kind in "OUS"):
        return False
    # 0.0 and 1.0 beside probabilities are classes; other floats are amounts.
    are_flags = set(np.unique(labels).tolist()) <= {0.0, 1.0}
    return not (are_flags and scores is not None and _are_shares(scores))


def _are_shares(scores: Floats) -> bool:
    known = scores[np.isfinite(scores)]
    return bool(((known >= 0) & (known <= 1)).all())


def _estimated(labels: Array, answers: Answers) -> Estimated:
    values = answers.scores if answers.scores is not None else answers.labels
    if labels.dtype == object or values is None or values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputError(
            f"the label is a number to estimate, so the model must give one number per row; it gives {answers.form}"
        )
    predicted = values.astype(np.float64)
    invalid = int((~np.isfinite(predicted)).sum())
    return Estimated(labels.astype(np.float64), predicted, invalid, _invalid_hint(predicted[:, None]))


def _classified(labels: Array, answers: Answers, options: TestOptions) -> Classified:
    scores, given = answers.scores, None
    if answers.labels is not None:
        given = _comparable(answers.labels, labels, answers.form)
    elif scores is not None and scores.ndim == 1 and not _are_shares(scores):
        # Some libraries give classes as floats.
        given, scores = _whole_labels(scores, labels, answers.form), None
    if scores is None and given is None:
        raise _misfit(labels, answers.form)
    columns, hint = None, ""
    if scores is not None:
        scores = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
        columns, hint = _columns(labels, given, scores.shape[1], options, answers.form)
    said = given if given is not None else _best(answers.scores, columns or [])
    classes = _sorted({*_distinct(labels), *_distinct(said), *(columns or ())})
    predicted = _encode(said, classes)
    codes = {label: code for code, label in enumerate(classes)}
    broken = "" if scores is None else _invalid_hint(scores)
    if given is None and scores is not None:
        predicted[~np.isfinite(scores).all(axis=1)] = NONE
    actual = _encode(labels, classes)
    if not hint and not (actual == predicted).any():
        said_some, there = name_labels(_distinct(said)), name_labels(_distinct(labels))
        hint = f"no row is right: the model gives {said_some}, the test data holds {there}"
    if not hint and given is not None:
        hint = _count_hint(said, labels)
    return Classified(
        classes,
        actual,
        predicted,
        None if columns is None else scores,
        [codes[name] for name in columns or ()],
        0 if scores is None else int((~np.isfinite(scores).all(axis=1)).sum()),
        "; ".join(filter(None, (broken, hint))),
    )


def _count_hint(said: Array, labels: Array) -> str:
    """Say that both count classes from different numbers; nothing where they do not, or where names are no numbers."""
    if said.dtype == object:
        return ""
    given, there, right = set(_distinct(said)), set(_distinct(labels)), int((said == labels).sum())
    for shift in (1, -1):
        moved = int((said + shift == labels).sum())
        # A model that gives labels of the test data alone means those, however bad it is.
        if moved > right and not given <= there and {int(label) + shift for label in given} <= there:
            return (
                f"the model's labels count from {min(given)}, the test data's from {min(there)}: {right} of "
                f"{len(said)} rows are right, and {moved} would be; write the labels as the model gives them"
            )
    return ""


def _comparable(given: Array, labels: Array, form: str) -> Array:
    """The model's own labels, in the type of the test data's."""
    if given.dtype.kind in "OUS":
        if labels.dtype != object:
            raise InputError("the model predicts strings, but the label column holds integers")
        return given.astype(object)
    if labels.dtype == object:
        raise _misfit(labels, form)
    return given.astype(np.int64)


def _whole_labels(values: Floats, labels: Array, form: str) -> Array:
    known = values[np.isfinite(values)]
    if labels.dtype == object or len(known) < len(values) or (known != np.floor(known)).any():
        raise _misfit(labels, form)
    return values.astype(np.int64)


def _columns(
    labels: Array, given: Array | None, count: int, options: TestOptions, form: str
) -> tuple[list[Label] | None, str]:
    """The labels that the columns of scores stand for, None where that is not known; and what to say of it."""
    if options.classes:
        return _declared(labels, count, options.classes), ""
    there = _distinct(labels)
    if labels.dtype != object and all(0 <= label < count for label in there):  # type: ignore[operator]
        return list(range(count)), ""
    either = _sorted({*there, *(_distinct(given) if given is not None else ())})
    if len(either) == count:
        taken = f"the model's scores were taken for the labels {name_labels(either)} in this order"
        return either, "" if given is not None else f"{taken}; spec.ci.testData.classes says otherwise"
    if given is not None:
        return None, ""
    if labels.dtype == object:
        raise _misfit(labels, form)
    beyond = name_labels([label for label in there if not 0 <= label < count])  # type: ignore[operator]
    return list(range(count)), (
        f"the model's scores stand for the labels 0 to {count - 1}, so that no row can get {beyond} of the test data; "
        "name their labels in spec.ci.testData.classes"
    )


def _declared(labels: Array, count: int, classes: Sequence[Label]) -> list[Label]:
    if len(classes) != count:
        raise InputError(
            f"spec.ci.testData.classes names {len(classes)} labels; the model gives {count} scores"
        )
    if len(set(classes)) < count:
        raise InputError("spec.ci.testData.classes names a label twice")
    wanted = str if labels.dtype == object else int
    if wanted is int:  # specs hold text
        classes = [
            int(name) if isinstance(name, str) and _INTEGER.fullmatch(name) else name for name in classes
        ]
    if wrong := [name for name in classes if not isinstance(name, wanted)]:
        kind = "strings" if wanted is str else "integers"
        raise InputError(
            f"spec.ci.testData.classes holds {wrong[0]!r:.100}, but the label column holds {kind}"
        )
    return list(classes)


def _best(scores: Floats | None, columns: Sequence[Label]) -> Array:
    assert scores is not None
    kind = object if isinstance(columns[0], str) else np.int64
    best = (scores >= 0.5).astype(np.int64) if scores.ndim == 1 else np.argmax(scores, axis=1)
    found: Array = np.array(columns, dtype=kind)[best]
    return found


def _encode(labels: Array, classes: Sequence[Label]) -> Codes:
    codes = {label: code for code, label in enumerate(classes)}
    encoded = pa.array(labels).dictionary_encode()
    table = np.array([codes[label] for label in encoded.dictionary.to_pylist()], dtype=np.int64)
    found: Codes = table[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _distinct(labels: Array) -> list[Label]:
    return _sorted(pa.array(labels).unique().to_pylist())


def _sorted(labels: Iterable[Label]) -> list[Label]:
    return sorted(labels)


def _invalid_hint(values: Floats) -> str:
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if not len(broken):
        return ""
    return f"{len(broken)} of {len(values)} predictions are not finite, the first in row {broken[0]}"


def name_labels(labels: Sequence[Label]) -> str:
    """The first of some labels, for messages."""
    # Between steps Kubeflow Pipelines replaces placeholders, and its database holds no emoji.
    shown = ", ".join(ascii(label)[:60].replace("{{", "{ {") for label in labels[:3])
    return shown if len(labels) <= 3 else f"{shown} and others"


def _misfit(labels: Array, form: str) -> InputError:
    if labels.dtype == object:
        return InputError(
            f"the label column holds strings, but the model gives {form}: for scores, name their labels in "
            "spec.ci.testData.classes"
        )
    return InputError(
        "for integer labels the model must give labels, scores of shape (rows, classes) or probabilities of shape "
        f"(rows,); it gives {form}"
    )
