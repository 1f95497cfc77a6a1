"""Which columns a model's inputs and outputs become. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mooring_inference.capture.settings import Bucket, CaptureSettings, CaptureSettingsError, Drop, Mask
from mooring_inference.tensors import Datatype, Signature, TensorSpec

# The column that holds id, time and the like as its fields.
REQUEST = "request"
PREDICTION = "prediction."
# A wider row is one list: images and embeddings are no tables.
_MOST_COLUMNS = 4096
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Column:
    """One element of each row.

    Attributes:
        name: in the file.
        position: of the element in its row.
        mask: what is done to it.
    """

    name: str
    position: int
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class TensorColumns:
    """What is kept of one input or output.

    Attributes:
        tensor: its name in the model.
        datatype: its datatype.
        width: elements of a row; None: any number, and each row is written as one list in row-major order.
        columns: the elements that are kept; one that stands for the list without a width.
    """

    tensor: str
    datatype: Datatype
    width: int | None
    columns: tuple[Column, ...]

    @property
    def is_text(self) -> bool:
        """Whether its elements are strings."""
        return self.datatype.name == "BYTES"


@dataclass(frozen=True, slots=True)
class Layout:
    """What is kept of a model's requests; tensors of which nothing is kept are left out."""

    inputs: tuple[TensorColumns, ...]
    outputs: tuple[TensorColumns, ...]


def plan_layout(
    signature: Signature,
    settings: CaptureSettings,
    feature_names: Mapping[str, Sequence[str]] | None = None,
) -> Layout:
    """Decide on the columns.

    An input of shape [n] or [n, 1] is a feature of its own name; one of [n, k] is the features ``x[0]`` to
    ``x[k-1]`` unless ``feature_names`` names them; any other is one list. Outputs likewise, behind
    ``prediction.``; those whose columns have names, such as classes, are ``y[NAME]``.

    Raises:
        CaptureSettingsError: names that the model does not have, that are there twice or are taken.
    """
    names = feature_names or {}
    _check_known("feature_names", names, [spec.name for spec in signature.inputs])
    inputs = [_columns_of(spec, "", names.get(spec.name)) for spec in signature.inputs]
    outputs = [_columns_of(spec, PREDICTION, None) for spec in signature.outputs]
    _check_names(inputs)
    _check_selection(settings, inputs, outputs)
    return Layout(
        tuple(kept for tensor in inputs if (kept := _keep(tensor, settings, settings.features)).columns),
        tuple(kept for tensor in outputs if (kept := _keep(tensor, settings, None)).columns),
    )


def _columns_of(spec: TensorSpec, prefix: str, names: Sequence[str] | None) -> TensorColumns:
    width = _width(spec)
    if names is not None:
        if len(set(names)) < len(names):
            raise CaptureSettingsError(f"feature_names of input {spec.name}: a name is there twice")
        if len(spec.shape) > 2 or (width is not None and width != len(names)):
            raise CaptureSettingsError(
                f"feature_names of input {spec.name}: expected names for shape {spec.open_shape()}, "
                f"got {len(names)}"
            )
        return TensorColumns(spec.name, spec.datatype, len(names), _columns(names))
    if width is None or width > _MOST_COLUMNS:
        return TensorColumns(spec.name, spec.datatype, None, _columns([f"{prefix}{spec.name}"]))
    single = len(spec.shape) < 2 or width == 1
    found = [spec.name] if single else [f"{spec.name}[{name}]" for name in spec.columns or range(width)]
    return TensorColumns(spec.name, spec.datatype, width, _columns([prefix + name for name in found]))


def _width(spec: TensorSpec) -> int | None:
    match spec.shape:
        case () | (_,):
            return 1
        case (_, width):
            return width
        case _:
            return None


def _columns(names: Iterable[str]) -> tuple[Column, ...]:
    return tuple(Column(name, position) for position, name in enumerate(names))


def _check_names(inputs: Sequence[TensorColumns]) -> None:
    seen: set[str] = set()
    for tensor in inputs:
        for column in tensor.columns:
            if column.name == REQUEST or column.name.startswith(PREDICTION) or not column.name:
                raise CaptureSettingsError(
                    f"feature {column.name!r} of input {tensor.tensor}: the name is taken by a column of capture "
                    "itself; give the feature another one in feature_names"
                )
            if column.name in seen:
                raise CaptureSettingsError(
                    f"feature {column.name!r} is there twice; name it in feature_names"
                )
            seen.add(column.name)


def _check_selection(
    settings: CaptureSettings, inputs: Sequence[TensorColumns], outputs: Sequence[TensorColumns]
) -> None:
    features = [name for tensor in inputs for name in _names_of(tensor)]
    if settings.features is not None:
        _check_known("capture_features", settings.features, features)
    predictions = [column.name for tensor in outputs for column in tensor.columns]
    _check_known("capture_mask", settings.masks, [*features, *predictions])
    for tensor in (*inputs, *outputs):
        for column in tensor.columns:
            _check_mask(tensor, column, _mask_of(tensor, column, settings))


def _check_mask(tensor: TensorColumns, column: Column, mask: Mask | None) -> None:
    if mask is None or isinstance(mask, Drop):
        return
    if tensor.width is None:
        raise CaptureSettingsError(
            f"--capture_mask: {column.name} holds lists, and only drop can be done to them"
        )
    if isinstance(mask, Bucket) and tensor.datatype.name in ("BYTES", "BOOL"):
        raise CaptureSettingsError(
            f"--capture_mask: {column.name} is {tensor.datatype.name}, and bucket is for numbers"
        )


def _keep(tensor: TensorColumns, settings: CaptureSettings, wanted: Sequence[str] | None) -> TensorColumns:
    kept = [
        replace(column, mask=_mask_of(tensor, column, settings))
        for column in tensor.columns
        if wanted is None or column.name in wanted or tensor.tensor in wanted
    ]
    return replace(tensor, columns=tuple(column for column in kept if not isinstance(column.mask, Drop)))


def _mask_of(tensor: TensorColumns, column: Column, settings: CaptureSettings) -> Mask | None:
    masks = settings.masks
    if column.name in masks:
        return masks[column.name]
    # The name of an input stands for all its features, that of an output for nothing.
    return None if column.name.startswith(PREDICTION) else masks.get(tensor.tensor)


def _names_of(tensor: TensorColumns) -> list[str]:
    return list(dict.fromkeys((tensor.tensor, *(column.name for column in tensor.columns))))


def _check_known(field: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
            flag = f"--{field}" if field.startswith("capture_") else field
            raise CaptureSettingsError(f"{flag}: the model has no {name!r}; it has {shown}")
