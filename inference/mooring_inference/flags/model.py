"""Settings that every command has which loads a model."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from mooring_artifacts.digests import DIGEST_PATTERN

from mooring_inference.flags.setting import Setting, path


def digest(text: str) -> str:
    """Parse a digest."""
    if not re.fullmatch(DIGEST_PATTERN, text):
        raise argparse.ArgumentTypeError(f"expected sha256: and 64 hex digits, got {text!r}")
    return text


MODEL_DIR = Setting("model_dir", "folder with one model, or the file", "PATH", path, Path("/mnt/models"))

MODEL_DIGEST = Setting(
    "model_digest",
    "of the files, but for empty ones: with others the model is not loaded",
    "DIGEST",
    digest,
    environment="MOORING_MODEL_DIGEST",
    otherwise="whatever is there",
)
