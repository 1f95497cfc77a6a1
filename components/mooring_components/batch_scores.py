"""Score files of rows with a model, as ``mooring-inference score`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_inference.errors import ModelLoadError
from mooring_inference.score.arguments import parse
from mooring_inference.score.command import score
from mooring_inference.score.errors import ScoreError
from mooring_inference.score.run import Summary

from mooring_components.registration.resolving import fetch_named

_OWN = ("__input", "__output", "__model_dir")


@dataclass(frozen=True)
class Scores:
    """What was scored with which files, by their digest."""

    summary: Summary
    model_digest: str

    @property
    def metrics(self) -> dict[str, int]:
        """Counts, for people."""
        told = self.summary
        return {
            "rows": told.input_rows,
            "scored": told.good_rows,
            "badRows": told.bad_rows,
            "files": told.parts,
        }

    def to_markdown(self, model_uri: str, data_uri: str, output_uri: str) -> str:
        """What came of it, with the addresses."""
        told = self.summary
        return (
            f"# {told.good_rows} of {told.input_rows} rows scored\n\n"
            f"- rows: `{data_uri}`\n"
            f"- scores: `{output_uri}`, {told.parts} files, {told.reused_parts} of them done before\n"
            f"- bad rows: {told.bad_rows}\n- model: `{model_uri}`\n- digest: `{self.model_digest}`\n"
        )


def score_rows(
    model_uri: str,
    data_uri: str,
    output_uri: str,
    arguments: Sequence[str],
    folder: Path,
    expected_digest: str = "",
    tracking_uri: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Scores:
    """Fetch the model into `folder`, and write the scores of all rows below `output_uri`.

    The same question goes on where an earlier run was interrupted.

    Args:
        model_uri: of its files, or `models:/NAME@ALIAS` of the registry at `tracking_uri`.
        arguments: further ones of ``mooring-inference score``, like ``--id_column=customer``.

    Raises:
        InputError: what a person has to correct.
        StoreUnavailable: the registry or a store does not answer.
    """
    if own := next((word for word in arguments if word.partition("=")[0].replace("-", "_") in _OWN), None):
        raise InputError(f"arguments: {own} is said by a parameter of the run")
    model = fetch_named(model_uri, folder, expected_digest, tracking_uri, environment)
    argv = [f"--input={data_uri}", f"--output={output_uri}", f"--model_dir={model.folder}", *arguments]
    try:
        parsed = parse(argv)
    except SystemExit:
        raise InputError(
            f"arguments {list(arguments)!r:.200} are not those of mooring-inference score: what it says stands above"
        ) from None
    try:
        summary = score(parsed, argv)
    except (ScoreError, ModelLoadError, OSError) as error:
        raise InputError(str(error)) from error
    if summary.bad_rows and parsed.fail_on_bad_rows:
        raise InputError(f"{summary.bad_rows} of {summary.input_rows} rows could not be scored")
    return Scores(summary, model.digest)
