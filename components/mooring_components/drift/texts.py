"""Columns of texts, each as numbers of its texts: what they are like, and not what they say.

A table is described: in the place of `comment`, which somebody declared as text, are `comment.length`,
`comment.words` and so on. They are compared as any numbers are. What is known of a text's words are numbers, and
of the baseline's the most frequent alone: memory does not grow with the texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.feature_settings import FeatureSettings

from mooring_components.drift import columns
from mooring_components.drift.characters import SCRIPTS, Characters, Hashes, Integers, blocks
from mooring_components.drift.errors import EvaluationError

SUMMARIES = {
    "length": "characters of each text",
    "words": "words of each text",
    "letters": "share of each text's characters that are letters",
    "digits": "share of each text's characters that are digits",
    "otherScript": "share of each text's letters in another script than most of the baseline's",
    "unknownWords": "share of each text's words that no other text of the baseline has, or few",
}
"""What is compared of a text, and what that is in words."""
TYPES = {name: pa.int32() if name in ("length", "words") else pa.float32() for name in SUMMARIES}
"""What the values of a summary are."""
MOST_WORDS = 100_000
"""Words of a column of the baseline that are known; while its rows are read, four times as many are counted."""
_COUNTED = 4 * MOST_WORDS
_ROWS_AT_ONCE = 1 << 16
_TEXT = b"mooring.text"

Values = npt.NDArray[Any]


def text_of(described: pa.Field) -> str | None:
    """The column of texts that a column is a summary of; None: it is none."""
    found = (described.metadata or {}).get(_TEXT)
    return None if found is None else found.decode()


@runtime_checkable
class Streamed(Protocol):
    """A table that gives the values of a column a part at a time."""

    def stream(self, name: str) -> Iterator[pa.Array]:
        """The values of one column, in the order of the rows; text as dictionaries."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """The words that many rows of a baseline have.

    words: (k,) in order. rows: (k,) rows that have it, `least` at least. script: that most letters are of.
    """

    words: Hashes
    rows: Integers
    least: int
    script: int

    def knows(self, words: Hashes, *, own: bool) -> npt.NDArray[np.bool_]:
        """Which words, (w,), are known. Those of the baseline's `own` rows are where enough others have them."""
        if not len(self.words):
            return np.zeros(len(words), np.bool_)
        places = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
        found: npt.NDArray[np.bool_] = self.words[places] == words
        return found & (self.rows[places] > self.least) if own else found


@dataclass
class _Counts:
    """Rows per word, of which the rarest are forgotten where they are too many (lossy counting, Manku & Motwani 2002).

    forgotten: rows that a word may have more than is counted.
    """

    words: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    rows: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    scripts: Integers = field(default_factory=lambda: np.zeros(SCRIPTS, np.int64))
    forgotten: int = 0

    def add(self, found: Characters, rows: Integers) -> None:
        """Count texts that (n,) rows have each."""
        script, weight = found.scripts[found.letters], np.repeat(rows, np.diff(found.ends))[found.letters]
        self.scripts += np.bincount(script, weight, minlength=SCRIPTS).astype(np.int64)
        order = np.argsort(found.words, kind="stable")
        words, texts = found.words[order], found.text_of_word[order]
        again = np.zeros(len(words), np.bool_)
        again[1:] = (words[1:] == words[:-1]) & (texts[1:] == texts[:-1])
        self._merge(words[~again], rows[texts[~again]])
        while len(self.words) > _COUNTED:
            self.forgotten += int(least := self.rows.min())
            self._keep(self.rows > least)

    def _merge(self, words: Hashes, rows: Integers) -> None:
        every, place = np.unique(np.concatenate([self.words, words]), return_inverse=True)
        total = np.bincount(place, np.concatenate([self.rows, rows]), minlength=len(every))
        self.words, self.rows = every, total.astype(np.int64)

    def _keep(self, which: npt.NDArray[np.bool_]) -> None:
        self.words, self.rows = self.words[which], self.rows[which]

    def vocabulary(self) -> Vocabulary:
        """The words of as few rows as leave no more than `MOST_WORDS`; of which none is there for itself alone."""
        least = self.forgotten + 1
        if len(self.rows) > MOST_WORDS:
            least = max(least, int(np.partition(self.rows, -MOST_WORDS - 1)[-MOST_WORDS - 1]) + 1)
        self._keep(self.rows >= least)
        return Vocabulary(self.words, self.rows, least, int(self.scripts.argmax()))


class Described:
    """A table in which columns that are declared as texts are the summaries of these."""

    def __init__(
        self, table: columns.Table, settings: FeatureSettings, baseline: Described | None = None
    ) -> None:
        """Describe a baseline, or a window by what its `baseline` has.

        Raises:
            EvaluationError: TypeUnsupported, where a summary is called as another column is.
        """
        self._table, self._baseline = table, baseline
        self._texts: dict[str, tuple[str, str]] = {}
        self._vocabularies: dict[str, Vocabulary] = {}
        self._last: tuple[str, dict[str, pa.ChunkedArray]] = ("", {})
        self.num_rows = table.num_rows
        self.schema = pa.schema([each for column in table.schema for each in self._fields(column, settings)])

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column. A text that is missing has no length, and counts in no other summary."""
        if name not in self._texts:
            return self._table.column(name)
        text, summary = self._texts[name]
        if self._last[0] != text:
            self._last = ("", {})  # its memory is needed
            self._last = (text, self._summarize(text))
        return self._last[1][summary]

    def vocabulary(self, text: str) -> Vocabulary:
        """What is known of the words of a column of the baseline."""
        if self._baseline is not None:
            return self._baseline.vocabulary(text)
        if text not in self._vocabularies:
            counts = _Counts()
            for part in self._parts(text):
                values, _, rows = _different(part)
                for at, found in _placed(values):
                    counts.add(found, rows[at])
            self._vocabularies[text] = counts.vocabulary()
        return self._vocabularies[text]

    def _fields(self, column: pa.Field, settings: FeatureSettings) -> Iterator[pa.Field]:
        is_text = columns.kind(column.type) in (columns.CATEGORY, columns.MISSING)
        if not is_text or settings.type_of(column.name) != "Text":
            yield column.remove_metadata()  # a file says of no column that it is a summary
            return
        for summary in SUMMARIES:
            name = f"{column.name}.{summary}"
            if name in self._table.schema.names:
                raise EvaluationError(
                    "TypeUnsupported",
                    f"spec.featureSettings: {column.name!r} is a Text, of which {name!r} is compared, and there is "
                    "another column of that name: call one of them otherwise",
                )
            self._texts[name] = column.name, summary
            yield pa.field(name, TYPES[summary], metadata={_TEXT: column.name.encode()})

    def _parts(self, text: str) -> Iterator[pa.DictionaryArray]:
        if isinstance(self._table, Streamed):
            yield from map(columns.encode, self._table.stream(text))
            return
        for chunk in self._table.column(text).chunks:
            # Each part of a dictionary has all of its values.
            at_once = len(chunk) if pa.types.is_dictionary(chunk.type) else _ROWS_AT_ONCE
            for start in range(0, len(chunk), max(at_once, 1)):
                yield columns.encode(chunk.slice(start, at_once))

    def _summarize(self, text: str) -> dict[str, pa.ChunkedArray]:
        vocabulary, own = self.vocabulary(text), self._baseline is None
        found: dict[str, list[pa.Array]] = {summary: [] for summary in SUMMARIES}
        for part in self._parts(text):
            values, places, _ = _different(part)
            summaries = {name: np.zeros(len(values)) for name in SUMMARIES}
            for at, block in _placed(values):
                for name, numbers in _summarize(block, vocabulary, own=own).items():
                    summaries[name][at] = numbers
            missing = places < 0
            for summary, numbers in summaries.items():
                kind = TYPES[summary]
                if summary == "length":
                    rows = np.append(numbers, 0)[places].astype(np.int32)
                    found[summary].append(pa.array(rows, kind, mask=missing))
                else:
                    rows = numbers[places[~missing]].astype(kind.to_pandas_dtype())
                    found[summary].append(pa.array(rows, kind))
        return {summary: pa.chunked_array(each, TYPES[summary]) for summary, each in found.items()}


def _different(part: pa.DictionaryArray) -> tuple[pa.LargeStringArray, Integers, Integers]:
    """The different texts of some rows, (k,), the one of each row, -1 where it is missing, and the rows per text."""
    known = part.dictionary.is_valid().to_numpy(zero_copy_only=False)
    places = part.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    places[(places >= 0) & ~np.append(known, True)[places]] = -1
    rows = np.bincount(places[places >= 0], minlength=len(known))
    used = np.flatnonzero(rows)
    number = np.full(len(known) + 1, -1)
    number[used] = np.arange(len(used))
    return part.dictionary.take(pa.array(used)), number[places], rows[used].astype(np.int64)


def _placed(texts: pa.LargeStringArray) -> Iterator[tuple[slice, Characters]]:
    """Take texts apart, each block with the places of its texts."""
    start = 0
    for block in blocks(texts):
        yield slice(start, start + len(block.lengths)), block
        start += len(block.lengths)


def _summarize(found: Characters, vocabulary: Vocabulary, *, own: bool) -> dict[str, Values]:
    """Each summary of n texts, (n,); a share of nothing is 0."""
    letters = found.count(found.letters)
    words = found.words_per_text()
    looked_at = np.diff(found.ends)
    other = found.count(found.letters & (found.scripts != vocabulary.script))
    unknown = found.words_per_text(~vocabulary.knows(found.words, own=own))
    return {
        "length": found.lengths,
        "words": words,
        "letters": letters / np.maximum(looked_at, 1),
        "digits": found.count(found.digits) / np.maximum(looked_at, 1),
        "otherScript": other / np.maximum(letters, 1),
        "unknownWords": unknown / np.maximum(words, 1),
    }
