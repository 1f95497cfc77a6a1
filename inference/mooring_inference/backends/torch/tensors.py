"""Between numpy arrays and PyTorch tensors."""

from __future__ import annotations

import numpy as np
import torch  # type: ignore[import-not-found]

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.devices import parse_device
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import DATATYPES, Array, Datatype

_BY_TORCH = {
    torch.bool: "BOOL",
    torch.uint8: "UINT8",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.float16: "FP16",
    torch.float32: "FP32",
    torch.float64: "FP64",
    # numpy has no bfloat16. All of its values are float32 values.
    torch.bfloat16: "FP32",
}


def datatype_of(dtype: torch.dtype) -> Datatype | None:
    """Return the V2 datatype that carries a dtype; None where none does, such as for complex numbers."""
    name = _BY_TORCH.get(dtype)
    return None if name is None else DATATYPES[name]


def choose_device(options: LoadOptions) -> torch.device:
    """Return the device that was asked for.

    Raises:
        ModelLoadError: it is a GPU that PyTorch does not see.
    """
    device = parse_device(options.device)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.kind == "cuda" and device.index >= gpus:
        raise ModelLoadError(f"{device.name} was asked for, and PyTorch {torch.__version__} sees {gpus} GPUs")
    if device.kind == "cpu" or not gpus:
        return torch.device("cpu")
    return torch.device("cuda", device.index)


def to_tensor(
    array: Array, device: torch.device, dtype: torch.dtype | None = None, *, copy: bool = False
) -> torch.Tensor:
    """Return a tensor of an array's elements.

    Args:
        array: of any shape.
        device: to put it on.
        dtype: to convert to; None for the array's own.
        copy: whether the model may write into it.
    """
    if copy or not array.flags.writeable or any(step < 0 for step in array.strides):
        # PyTorch knows no memory that may only be read.
        array = np.array(array, order="C")
    return torch.from_numpy(array).to(device, dtype)


def to_array(tensor: torch.Tensor) -> Array:
    """Return an array of a tensor's elements, which may share its memory; bfloat16 becomes float32."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: Array = tensor.detach().cpu().numpy()
    return array
