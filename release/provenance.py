"""Says how a release was made: an in-toto statement with SLSA provenance, for whoever releases to sign.

Source: https://slsa.dev/spec/v1.1/provenance, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from release.images import split_reference
from release.sources import BaseImage, Sources

BUILD_TYPE = "https://mooring.dev/release/v1"
"""What `make release` does; docs/release.md describes it."""


def statement(
    sources: Sources,
    *,
    files: Mapping[str, str],
    references: Mapping[str, str],
    bases: Iterable[BaseImage],
    pins: Mapping[str, str],
    builder: str,
) -> str:
    """Give the statement as JSON.

    No times are in it: a second build of the same commit gives the same statement.

    Args:
        sources: the files of the release.
        files: sha256 by the name of each file of the release.
        references: where each image is, by its name in the manifests.
        bases: what our images start from.
        pins: sha256 by the name of each file that pins dependencies.
        builder: a URI that says who or what made the release, as whoever trusts it knows them.
    """
    # Not subjects: a release names images, and does not make them.
    images = [_by_digest(split_reference(reference)) for reference in references.values()]
    return (
        json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": _files(files),
                "predicateType": "https://slsa.dev/provenance/v1",
                "predicate": {
                    "buildDefinition": {
                        "buildType": BUILD_TYPE,
                        "externalParameters": {"version": sources.version, "images": dict(references)},
                        "resolvedDependencies": [
                            {"name": "sources", "digest": {"gitCommit": sources.commit}},
                            *images,
                            *(_by_digest((base.name, base.digest)) for base in bases),
                            *_files(pins),
                        ],
                    },
                    "runDetails": {"builder": {"id": builder}},
                },
            },
            indent=2,
        )
        + "\n"
    )


def _files(digests: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())]


def _by_digest(found: tuple[str, str]) -> dict[str, Any]:
    name, digest = found
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
