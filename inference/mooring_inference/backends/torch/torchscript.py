"""TorchScript files, run by PyTorch. Loading one runs its code, and PyTorch has deprecated the format."""

from __future__ import annotations

from pathlib import Path

import torch  # type: ignore[import-not-found]
from mooring_artifacts.errors import first_line

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.declared import need_signature
from mooring_inference.backends.torch.backend import LoadedModule, TorchBackend, check_declared, use_threads
from mooring_inference.backends.torch.module_calls import plan_call
from mooring_inference.backends.torch.tensors import choose_device
from mooring_inference.errors import ModelLoadError


def load_torchscript(path: Path, options: LoadOptions) -> TorchBackend:
    """Load a TorchScript file.

    It keeps the names of ``forward``'s arguments, but no datatypes and shapes: ``signature.json`` beside it declares
    these. Arguments that are numbers are declared with the shape []. Where all declared inputs are arguments of
    ``forward`` they are passed by name, else in order.

    Raises:
        ModelLoadError: TorchScript is not allowed, or the file cannot be served.
    """
    if not options.allow_torchscript:
        raise ModelLoadError(
            f"{path.name} is TorchScript, whose loading runs code: export it with torch.export, "
            f"or {options.how_to_allow('torchscript')}"
        )
    device = choose_device(options)
    use_threads(options)
    signature = need_signature(path.parent, f"{path.name} is TorchScript and")
    try:
        # Not frozen: that saves a tenth, and torch.jit.freeze makes models that keep a state crash the process.
        module = torch.jit.load(str(path), map_location=device).eval()
        arguments = [argument.name for argument in module.forward.schema.arguments[1:]]
    except Exception as error:
        raise ModelLoadError(f"{path.name} is not a usable TorchScript file: {first_line(error)}") from None
    run = plan_call(path.name, module, arguments, signature)
    # TorchScript may write into its inputs, and nothing says whether it does.
    dtypes = (None,) * len(signature.inputs)
    loaded = LoadedModule(
        run, signature, dtypes, writes_inputs=True, parameters=dict(module.named_parameters())
    )
    return check_declared(TorchBackend("pytorch_torchscript", loaded, device), path.name)
