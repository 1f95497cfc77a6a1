"""A commit is judged by the same examples each time, whatever else was loaded or has run before."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES = st.one_of(st.integers(), st.text(max_size=40), st.floats(allow_nan=False), st.binary(max_size=20))


def examples() -> list[object]:
    drawn: list[object] = []

    @settings(settings.get_profile("same"), max_examples=300)
    @given(VALUES)
    def draw(value: object) -> None:
        drawn.append(value)

    draw()
    return drawn


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a module as one of the project's own."""
    spec = importlib.util.spec_from_file_location("numbers_and_words", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)


def test_examples_are_the_same_in_any_order_of_tests(tmp_path, monkeypatch):
    first = examples()
    lines = [f"A{n} = {n * 1_000_003}\nB{n} = 'word {n}'\nC{n} = {n}.125\nD{n} = b'b{n}'" for n in range(200)]
    module = tmp_path / "numbers_and_words.py"
    module.write_text("\n".join(lines))
    load(module, monkeypatch)
    assert examples() == first


def test_a_search_looks_at_other_examples():
    assert settings.get_profile("same").derandomize
    assert not settings.get_profile("search").derandomize
