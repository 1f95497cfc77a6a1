"""Which execution providers of ONNX Runtime a model gets: those asked for, or an error that says what there is.

ONNX Runtime itself goes on with the CPU where a provider is missing, or is there but cannot start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.devices import Device, parse_device
from mooring_inference.errors import ModelLoadError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

_BY_SHORT_NAME = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT, "openvino": OPENVINO}
_BY_LOWER_NAME = {name.lower(): name for name in _BY_SHORT_NAME.values()}

ProviderOptions = dict[str, str]


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """What a session is made with.

    Attributes:
        providers: (name, options) in the order in which they may take operators.
        required: those that the session must really have afterwards.
        device: as asked for, ``auto`` where nothing was.
    """

    providers: tuple[tuple[str, ProviderOptions], ...]
    required: tuple[str, ...]
    device: Device

    @property
    def names(self) -> list[str]:
        """Names of the providers."""
        return [name for name, _ in self.providers]


def choose_providers(options: LoadOptions, available: Sequence[str]) -> ProviderChoice:
    """Choose the providers for a model.

    Args:
        options: ``providers`` by their names in ONNX Runtime, or ``cpu``, ``cuda``, ``tensorrt``, ``openvino``.
        available: what the installed ONNX Runtime was built with.

    Raises:
        ModelLoadError: a name is unknown, a provider is not in this ONNX Runtime, or device and providers
            contradict each other.
    """
    device = parse_device(options.device)
    required = [_full_name(name) for name in options.providers]
    _check_agreement(device, required)
    if not required:
        required = {"auto": [], "cpu": [CPU], "cuda": [CUDA]}[device.kind]
    for name in required:
        if name not in available:
            raise ModelLoadError(
                f"{name} was asked for and is not in this ONNX Runtime, which has {', '.join(available)}"
            )
    wanted = list(required)
    if (not required or TENSORRT in required) and CUDA in available:
        # Under auto, and for the operators that TensorRT does not know.
        wanted.append(CUDA)
    # The CPU takes those that no other provider has.
    wanted.append(CPU)
    return ProviderChoice(
        tuple((name, _provider_options(name, device, options.threads)) for name in dict.fromkeys(wanted)),
        tuple(required),
        device,
    )


def only_cpu(choice: ProviderChoice) -> ProviderChoice:
    """Return the same choice without any GPU."""
    return replace(choice, providers=((CPU, {}),))


def check_providers(choice: ProviderChoice, used: Sequence[str]) -> None:
    """Raise ModelLoadError where a session lacks a provider that was asked for."""
    if missing := [name for name in choice.required if name not in used]:
        raise ModelLoadError(
            f"{missing[0]} was asked for and could not start, for want of its libraries or its device; "
            f"the session has {', '.join(used)}"
        )


def device_of(used: Sequence[str], device: Device) -> str:
    """Return where a session with these providers runs, such as ``cpu``, ``cuda:0`` or ``openvino:cpu``."""
    if TENSORRT in used or CUDA in used:
        return Device("cuda", device.index).name
    return "openvino:cpu" if OPENVINO in used else "cpu"


def _full_name(name: str) -> str:
    lower = name.lower()
    found = _BY_SHORT_NAME.get(lower) or _BY_LOWER_NAME.get(lower)
    if found is None:
        allowed = ", ".join(_BY_SHORT_NAME)
        raise ModelLoadError(f"providers: expected some of {allowed}, got {name!r}")
    return found


def _check_agreement(device: Device, providers: Sequence[str]) -> None:
    on_gpu = [name for name in providers if name in (CUDA, TENSORRT)]
    if device.kind == "cpu" and on_gpu:
        raise ModelLoadError(f"device cpu and provider {on_gpu[0]} contradict each other")
    if device.kind == "cuda" and providers and not on_gpu:
        raise ModelLoadError(
            f"device {device.name} and providers {', '.join(providers)} contradict each other"
        )


def _provider_options(name: str, device: Device, threads: int) -> ProviderOptions:
    if name == CUDA:
        # The default, an exhaustive search, runs again for every batch size that comes up.
        return {"device_id": str(device.index), "cudnn_conv_algo_search": "HEURISTIC"}
    if name == TENSORRT:
        return {"device_id": str(device.index)}
    if name == OPENVINO:
        return {"device_type": "CPU", "num_of_threads": str(threads)}
    return {}
