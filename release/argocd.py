"""``python -m release.argocd [--check]``: write manifests/argocd/argocd-cm.yaml from the scripts beside it.

The scripts lie as Argo CD keeps its own (GROUP/KIND/health.lua, actions/NAME/action.lua); its ConfigMap takes them as
texts, one key for the health of a kind and one for its actions.
"""

import argparse
from pathlib import Path

import yaml

FOLDER = Path("manifests/argocd")
_GROUP = "mooring.dev"
_HEAD = "# Generated from the scripts beside it by `make generate`. Do not edit.\n"


class _Text(str):
    """Shown as a block, as it was written."""


def _block(dumper: yaml.SafeDumper, text: _Text) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Text, _block)


def config_map(folder: Path) -> str:
    """Give the ConfigMap for the scripts in `folder`, as YAML."""
    data = {}
    for kind in sorted(path for path in (folder / _GROUP).iterdir() if path.is_dir()):
        name = f"{_GROUP}_{kind.name}"
        data[f"resource.customizations.health.{name}"] = _Text((kind / "health.lua").read_text())
        if (kind / "actions").is_dir():
            data[f"resource.customizations.actions.{name}"] = _Text(_dump(_actions(kind / "actions")))
    metadata = {
        "name": "argocd-cm",
        "namespace": "argocd",
        # Argo CD reads no other ConfigMaps than those with this label.
        "labels": {"app.kubernetes.io/part-of": "argocd"},
    }
    return _HEAD + _dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _actions(folder: Path) -> dict[str, object]:
    definitions = [
        {"name": script.parent.name, "action.lua": _Text(script.read_text())}
        for script in sorted(folder.glob("*/action.lua"))
    ]
    return {"discovery.lua": _Text((folder / "discovery.lua").read_text()), "definitions": definitions}


def _dump(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)


def main() -> int:
    """Run the command; exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m release.argocd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file differs")
    arguments = parser.parse_args()
    path, wanted = FOLDER / "argocd-cm.yaml", config_map(FOLDER)
    if arguments.check:
        stale = not path.exists() or path.read_text() != wanted
        if stale:
            print(f"{path}: differs from the scripts; run `make generate`")
        return 1 if stale else 0
    path.write_text(wanted)
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
