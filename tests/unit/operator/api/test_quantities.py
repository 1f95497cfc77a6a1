"""Quantities are read by their value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import forms
from mooring_operator.api.quantities import parse_quantity


@given(st.integers(0, 10**6))
def test_a_quantity_is_its_value_however_it_is_written(number):
    assert parse_quantity(f"{number}") == parse_quantity(f"{number * 1000}m") == number
    assert parse_quantity(f"{number}Ki") == parse_quantity(f"{number * 1024}")
    assert parse_quantity(f"{number}k") == parse_quantity(f"{number}e3") == parse_quantity(f"+0{number}.0E+3")
    assert parse_quantity(f"{number}m") == parse_quantity(f"{number}000u") == parse_quantity(f"{number}e-3")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".5", Decimal("0.5")),
        ("1.", 1),
        ("1E", 10**18),
        ("1e99", 10**99),
        ("1u", Decimal("0.001")),
        ("1001u", Decimal("0.002")),
        ("0u", 0),
        ("9Ei", 2**63 - 1),
        ("-1.5k", -1500),
    ],
)
def test_what_a_quantity_comes_to(text, value):
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "1x", "1.2.3", "one", "1e", "1e1.5", "1K", "1 ", "1\n", "٣", "." * 100_000]
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is no quantity") as raised:
        parse_quantity(text)
    assert len(str(raised.value)) < 100


@given(st.from_regex(forms.QUANTITY.pattern, fullmatch=True, alphabet="+.0123456789numkMGTPEKie-"))
def test_whatever_has_the_form_is_read(text):
    assert parse_quantity(text) >= 0
