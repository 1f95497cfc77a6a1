"""Compares windows that a server counted, minute by minute, in the slots of its model's profile.

What that costs does not depend on how many requests there were: the baseline is the profile, and no row is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from mooring_artifacts.drift_question import DriftQuestion, Rows
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.local_files import StoredFile
from mooring_artifacts.uris import below
from mooring_artifacts.window_states import Profile, WindowState, add_up, parse_profile, parse_state
from mooring_artifacts.window_states.binary import LARGEST
from mooring_artifacts.window_states.files import (
    STATE_SUFFIX,
    choose_states,
    profile_name,
    profile_of,
)

from mooring_components.drift.captured import check_enough, find_hours, when
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import Feature, Findings
from mooring_components.drift.fetching import fetch_each
from mooring_components.drift.pictures import Picture, draw_counted
from mooring_components.drift.states import evaluate_states
from mooring_components.parquet import FoundFiles, find_files

_FIELD = "spec.window"


@dataclass(frozen=True)
class Counted:
    """What a window's states say of it: `rows` are those of the baseline and of the window."""

    findings: Findings
    rows: tuple[int, int]
    digest: str
    profile: Profile
    state: WindowState

    def draw(self, feature: Feature) -> Picture | None:
        """The picture of a feature, as far as the slots tell."""
        places = (place for place, one in enumerate(self.profile.features) if one.name == feature.name)
        place = next(places)
        return draw_counted(self.profile.features[place], self.state.features[place].rows)


def compare_counted(question: DriftQuestion, detectors: Detectors) -> Counted:
    """Add up the states of the window's minutes, and compare them with their profile.

    Raises:
        EvaluationError: there is none, or one cannot be read.
    """
    found, files = _files(question.window)
    if not files:
        check_enough(question.window, 0)
        raise EvaluationError(
            "InsufficientData",
            f"{_FIELD} {question.window.uri!r}: nothing was counted {when(question.window)}: the model needs "
            "profile.bin, which mooring-inference profile writes",
        )
    try:
        profile, state = _add_up(found, files)
    except (InputError, StoreUnavailable) as error:
        raise EvaluationError("WindowUnreadable", f"{found.source}: {error}") from error
    check_enough(question.window, state.rows)
    findings = evaluate_states(
        profile, state, question.features, question.min_rows, detectors, question.declared
    )
    told = hashlib.sha256(state.to_bytes() + when(question.window).encode()).hexdigest()
    return Counted(findings, (profile.rows, state.rows), f"sha256:{told}", profile, state)


def _files(window: Rows) -> tuple[FoundFiles, list[StoredFile]]:
    since, until = window.since, window.until
    if since is None or until is None:
        raise EvaluationError("WindowUnreadable", f"{_FIELD}: counts are of a time, and none is given")

    def choose(files: list[StoredFile]) -> list[StoredFile]:
        named = {file.path: file for file in files}
        return [named[name] for name in choose_states(named, since, until)]

    try:
        found = find_hours(window, _FIELD, STATE_SUFFIX, choose)
    except (InputError, StoreUnavailable) as error:
        raise EvaluationError("WindowUnreadable", str(error)) from error
    return found, list(found.files)


def _add_up(found: FoundFiles, files: Sequence[StoredFile]) -> tuple[Profile, WindowState]:
    contents = zip(files, fetch_each(found, files, _fetch), strict=True)
    first = next(contents)
    with _naming(first[0]):
        counted_by = profile_of(first[1])
    profile = _profile(str(found.location), counted_by)
    return profile, add_up(profile, _states(chain([first], contents), profile))


def _states(contents: Iterable[tuple[StoredFile, bytearray]], profile: Profile) -> Iterator[WindowState]:
    for file, content in contents:
        with _naming(file):
            state = parse_state(content, profile)
        yield state


@contextmanager
def _naming(file: StoredFile) -> Iterator[None]:
    """Say of which of the files it is that something is wrong."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file.path!r}: {error}") from error


def _profile(folder: str, digest: str) -> Profile:
    files = find_files(below(folder, profile_name(digest)), f"{_FIELD}: profile", kinds=())
    profile = parse_profile(_fetch(files, files.files[0]))
    if profile.digest != digest:
        raise InputError(f"the profile {digest} has another content than its name says")
    return profile


def _fetch(found: FoundFiles, file: StoredFile) -> bytearray:
    if file.size > LARGEST:
        raise InputError(f"{file.path!r} has {file.size} bytes; {LARGEST} are allowed")
    return found.fetch(file)
