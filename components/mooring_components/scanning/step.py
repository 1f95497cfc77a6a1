"""The step `scan-model`: the format's list decides what may be in a model's folder, all else that is found is told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mooring_artifacts.errors import InputError
from mooring_artifacts.scans import Scan
from mooring_inference.backends.contents import LOADED, Content
from mooring_inference.backends.formats import MLMODEL, detect_format, find_model
from mooring_inference.errors import ModelLoadError

from mooring_components.fetching import FetchedModel
from mooring_components.scanning.allowed import Allowed, allowed_in
from mooring_components.scanning.looking import FormatRefused, Looker


def scan_model(
    folder: Path, label: str, declared: str, allow: Sequence[str] = (), *, elsewhere: bool = False
) -> Scan:
    """Look through all files of a model before anything of them is loaded.

    Args:
        folder: what `fetch_model` copied.
        label: how error messages call the model.
        declared: the format that it is said to have, by KServe's name; empty: that is not known.
        allow: code that may run, as `open_model` takes it.
        elsewhere: whether something else than Mooring's runtime loads it.

    Raises:
        InputError: a file is of a content that the format does not allow.
    """
    allowed = allowed_in(declared, allow, elsewhere=elsewhere)
    try:
        loaded = None if elsewhere else _loaded(folder, allowed)
        looker = Looker(allowed, () if loaded is None else (loaded.relative_to(folder).as_posix(),))
        for path in _files(folder):
            looker.look(path, path.relative_to(folder).as_posix())
    except FormatRefused as error:
        raise InputError(f"model {label!r}: {error}") from error
    found = looker.scan()
    print(f"scan: {found.in_words()}")
    for finding in found.findings:
        print(f"scan: {finding.in_words()}")
    return found


def scan_fetched(
    fetched: FetchedModel | None, label: str, declared: str, allow: Sequence[str], *, elsewhere: bool
) -> dict[str, Any]:
    """What later steps are told of the files of a model: `scan`, or nothing where a run cannot read them.

    Raises:
        InputError: as `scan_model`.
    """
    if fetched is None:
        print("scan: the model's files are none that a run can read")
        return {}
    found = scan_model(fetched.folder, label, declared, allow, elsewhere=elsewhere)
    return {"scan": found.model_dump(mode="json", by_alias=True)}


def _loaded(folder: Path, allowed: Allowed) -> Path | None:
    """The file that the serving runtime loads, where the format is one that holds it; None where it finds none.

    What it does not load it refuses itself, with what to do instead.
    """
    try:
        file = find_model(folder)
        if file.name == MLMODEL:
            return None
        content = LOADED[detect_format(file)]
    except ModelLoadError:
        return None
    if allowed.held is not None and content not in allowed.held:
        raise FormatRefused(_misfit(file.name, content, allowed))
    return file


def _misfit(name: str, content: Content, allowed: Allowed) -> str:
    held = " or ".join(sorted(one.name for one in allowed.held or ()))
    return f"{name} {content.told}, and spec.model.format {allowed.declared} is for {held}"


def _files(folder: Path) -> list[Path]:
    # A copy holds no links: each was followed when it was made.
    found = [Path(root, name) for root, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())
