"""Texts as numbers, many at once: their characters, the words that these make, and the scripts of letters.

A word is a run of letters, marks and digits; each Han, Hiragana and Katakana character is one. Words are known by a
number of 64 bits, of small letters, whatever the digits: `2025` and `2026` are one word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

MOST_CHARACTERS = 1 << 18
"""Of a longer text only these first bytes are looked at, but for its length."""
SCRIPTS = 512
# Letters beyond are none that anybody writes with: planes 4 to 16 hold tags and private characters.
_CODE_POINTS = 0x32400
_LETTER, _DIGIT, _IN_WORD, _ALONE = 1, 2, 4, 8
# Words that are the same so far count as one.
_LONGEST_WORD = 64
_ALONE_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA")


@dataclass(frozen=True)
class _Alphabet:
    """Per code point: what it is, the number of its script, and a random number of its small letter."""

    classes: Bytes
    scripts: npt.NDArray[np.uint16]
    mixed: Hashes
    powers: Hashes


@cache
def _alphabet() -> _Alphabet:
    classes = np.zeros(_CODE_POINTS, np.uint8)
    scripts = np.zeros(_CODE_POINTS, np.uint16)
    small = np.arange(_CODE_POINTS, dtype=np.uint64)
    known: dict[str, int] = {}
    for point in range(_CODE_POINTS):
        character = chr(point)
        category = unicodedata.category(character)
        if category[0] == "L":
            script = unicodedata.name(character, "UNKNOWN").split()[0]
            classes[point] = _LETTER | _IN_WORD | (_ALONE if script in _ALONE_SCRIPTS else 0)
            scripts[point] = known.setdefault("LATIN" if point < 0x250 else script, len(known) % SCRIPTS)
            small[point] = ord(character.lower()[0])
        elif category == "Nd":
            classes[point], small[point] = _DIGIT | _IN_WORD, ord("0")
        elif category in ("Mn", "Mc"):
            classes[point] = _IN_WORD
    factor = np.uint64(0x9E3779B97F4A7C15)
    powers = np.zeros(_LONGEST_WORD + 1, np.uint64)
    powers[:_LONGEST_WORD] = np.cumprod(np.full(_LONGEST_WORD, factor, np.uint64))
    return _Alphabet(classes, scripts, _mix(small), powers)


def _mix(values: Hashes) -> Hashes:
    """SplitMix64's finalizer: neighbours are far apart."""
    values = (values + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class Characters:
    """The characters of n texts.

    lengths: (n,) characters of each, also of those beyond `MOST_CHARACTERS`.
    ends: (n + 1,) where each begins among all characters that are looked at, and the last ends.
    classes, scripts: what each character is, (c,).
    words: (w,) the number of each word; text_of_word: (w,) the text that it is in, in order.
    """

    lengths: Integers
    ends: Integers
    classes: Bytes
    scripts: npt.NDArray[np.uint16]
    words: Hashes
    text_of_word: Integers

    def count(self, which: npt.NDArray[np.bool_]) -> Integers:
        """How many of the characters, (c,), there are in each text, (n,)."""
        return np.diff(np.append(0, np.cumsum(which))[self.ends])

    @property
    def letters(self) -> npt.NDArray[np.bool_]:
        """Which characters are letters, (c,)."""
        return self._are(_LETTER)

    @property
    def digits(self) -> npt.NDArray[np.bool_]:
        """Which characters are decimal digits, (c,)."""
        return self._are(_DIGIT)

    def _are(self, what: int) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = (self.classes & what) != 0
        return found

    def words_per_text(self, which: npt.NDArray[np.bool_] | None = None) -> Integers:
        """How many words, or of those of (w,) that count, there are in each text, (n,)."""
        held = self.text_of_word if which is None else self.text_of_word[which]
        return np.bincount(held, minlength=len(self.lengths)).astype(np.int64)


def blocks(texts: pa.LargeStringArray) -> Iterator[Characters]:
    """Take apart texts, none of them null, a bounded number of bytes at a time.

    Bytes that are no UTF-8 are characters that stand for nothing.
    """
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = texts.buffers()[2]
    held = np.frombuffer(content, np.uint8) if content is not None else np.zeros(0, np.uint8)
    start = 0
    while start < len(texts):
        fit = int(np.searchsorted(offsets, offsets[start] + MOST_CHARACTERS, "right")) - 1
        end = max(start + 1, min(fit, len(texts)))
        yield _take_apart(held[offsets[start] : offsets[end]], offsets[start : end + 1] - offsets[start])
        start = end


def _take_apart(content: Bytes, offsets: Integers) -> Characters:
    lengths = np.diff(np.append(0, np.cumsum((content & 0xC0) != 0x80))[offsets])
    if len(content) > MOST_CHARACTERS:  # one text alone
        content, offsets = content[:MOST_CHARACTERS], np.minimum(offsets, MOST_CHARACTERS)
    begin = np.flatnonzero((content & 0xC0) != 0x80)
    ends = np.searchsorted(begin, offsets)
    alphabet = _alphabet()
    points = _code_points(content, begin)
    classes = alphabet.classes[points]
    words, places = _words(points, classes, ends, alphabet)
    return Characters(
        lengths, ends, classes, alphabet.scripts[points], words, np.searchsorted(ends, places, "right") - 1
    )


def _code_points(content: Bytes, begin: Integers) -> Integers:
    """The characters of UTF-8 that begin at these bytes; those beyond the alphabet are 0."""
    lead = content[begin].astype(np.int64)
    if len(begin) == len(content):
        return lead
    padded = np.append(content, np.zeros(3, np.uint8))
    second, third, fourth = (padded[begin + place].astype(np.int64) & 0x3F for place in (1, 2, 3))
    points = np.select(
        [lead < 0x80, lead < 0xE0, lead < 0xF0],
        [lead, (lead & 0x1F) << 6 | second, (lead & 0x0F) << 12 | second << 6 | third],
        (lead & 0x07) << 18 | second << 12 | third << 6 | fourth,
    )
    points[points >= _CODE_POINTS] = 0
    return points


def _words(points: Integers, classes: Bytes, ends: Integers, alphabet: _Alphabet) -> tuple[Hashes, Integers]:
    """The number of each word, and the character that it begins with."""
    within = (classes & _IN_WORD) != 0
    alone = (classes & _ALONE) != 0
    first = within.copy()
    first[1:] &= ~within[:-1] | alone[:-1] | alone[1:]
    # A text begins with a word of its own, whatever the one before it ends with.
    edges = ends[:-1][ends[:-1] < len(points)]
    first[edges] = within[edges]
    starts = np.flatnonzero(first)
    if not len(starts):
        return np.zeros(0, np.uint64), starts
    place = np.arange(starts[0], len(points)) - np.repeat(starts, np.diff(np.append(starts, len(points))))
    terms = alphabet.mixed[points[starts[0] :]] * alphabet.powers[np.minimum(place, _LONGEST_WORD)]
    terms[~within[starts[0] :]] = 0
    return np.add.reduceat(terms, starts - starts[0]), starts
