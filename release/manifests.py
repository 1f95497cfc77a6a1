"""Renders what gets installed, with every image by digest."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from mooring_operator.settings import PREFIX, Settings

from release.errors import ReleaseError
from release.images import name_of, split_reference, untagged
from release.programs import run
from release.sources import Sources

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SETTINGS = "mooring-settings"
"""The ConfigMap of every overlay; the operator reads its variables."""


def render(sources: Sources, references: Mapping[str, str]) -> dict[str, str]:
    """Give the manifests of each overlay by its name.

    Args:
        sources: the files of the release.
        references: where each image is, by its name in the manifests.

    Raises:
        ReleaseError: an image has no reference, or an overlay cannot be rendered.
    """
    overlays = sorted(path.parent for path in sources.folder.glob("manifests/overlays/*/kustomization.yaml"))
    return {overlay.name: _render(sources, overlay, references) for overlay in overlays}


def settings_images() -> dict[str, str]:
    """Give the images that the operator writes into pods of its own, by variable."""
    fields = Settings.model_fields.items()
    return {PREFIX + name.upper(): str(field.default) for name, field in fields if name.endswith("_image")}


def images_in(value: Any) -> Iterator[str]:
    """Yield every image that an object names, at any depth."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "image" and isinstance(entry, str):
                yield entry
            else:
                yield from images_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from images_in(entry)


def _render(sources: Sources, overlay: Path, references: Mapping[str, str]) -> str:
    text = run(["kubectl", "kustomize", overlay])
    written = {untagged(image) for image in images_in(_parse(text))}
    _need(references, {name_of(image) for image in (*written, *settings_images().values())})
    # Beside the sources, which stay as they are.
    folder = sources.folder.parent / "by-digest" / overlay.name
    folder.mkdir(parents=True)
    variables = [f"{name}={references[name_of(image)]}" for name, image in settings_images().items()]
    merged = {"name": _SETTINGS, "namespace": _namespace(overlay), "behavior": "merge", "literals": variables}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"../../{overlay.relative_to(sources.folder.parent)}"],
        "images": [_by_digest(name, references[name_of(name)]) for name in sorted(written)],
        "configMapGenerator": [merged],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))
    text = run(["kubectl", "kustomize", folder])
    left = sorted({image for image in images_in(_parse(text)) if "@sha256:" not in image})
    if left:
        raise ReleaseError(f"overlay {overlay.name}: not by digest: {', '.join(left)}")
    return text


def _parse(text: str) -> list[Any]:
    # Python's own parser takes seconds for our definitions.
    return list(yaml.load_all(text, Loader=_LOADER))


def _namespace(overlay: Path) -> str:
    return str(yaml.safe_load((overlay / "kustomization.yaml").read_text())["namespace"])


def _by_digest(name: str, reference: str) -> dict[str, str]:
    place, digest = split_reference(reference)
    return {"name": name, "newName": place, "digest": digest}


def _need(references: Mapping[str, str], names: set[str]) -> None:
    missing = sorted(names - references.keys())
    if missing:
        raise ReleaseError(f"IMAGES: names no digest of {', '.join(missing)}")
