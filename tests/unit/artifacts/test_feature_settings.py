"""What is declared of features by patterns of their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.feature_settings import FeatureSetting, FeatureSettings, parse_setting

names = st.text(alphabet="ab[]0.*?", min_size=1, max_size=12)


def settings(*texts, categories=()):
    return FeatureSettings(map(parse_setting, texts), categories)


def test_brackets_stand_for_themselves():
    assert settings("x[0]=Number").type_of("x[0]") == "Number"
    assert settings("x[0]=Number").type_of("x0") is None
    assert settings("x[*]=Number").type_of("x[12]") == "Number"
    assert settings("x[?]=Number").type_of("x[12]") is None


def test_of_each_setting_the_first_that_says_something_counts():
    declared = settings("age=0.1", "a*=Number", "*=Ignored", "*=0.3")
    assert (declared.type_of("age"), declared.distance_of("age")) == ("Number", 0.1)
    assert (declared.type_of("zip"), declared.distance_of("zip")) == ("Ignored", 0.3)
    assert declared.kept(["zip", "age"]) == ["age"]


def test_categories_by_name_are_categories_where_no_setting_says_otherwise():
    declared = settings("zip=Number", categories=["zip", "shop"])
    assert [declared.type_of(name) for name in ("zip", "shop", "age")] == ["Number", "Category", None]


def test_a_setting_that_fits_nothing_is_found():
    assert settings("a*=Number", "zip=0.1").unused(["age", "income"]) == (1, "zip")
    assert settings("a*=Number").unused(["age", "income"]) is None


@given(names)
def test_every_name_without_wildcards_fits_itself_alone(name):
    own = FeatureSetting(match=name, distance=0.5)
    assert own.fits(name)
    if not set(name) & {"*", "?"}:
        assert not own.fits(f"{name}x")
        assert not own.fits(f"x{name}")


@given(names, names)
def test_a_star_is_any_characters(before, after):
    whole = FeatureSettings([FeatureSetting(match="a*b", distance=0.5)])
    fits = whole.distance_of(f"{before}{after}") is not None
    assert fits == (len(before + after) > 1 and (before + after)[0] == "a" and (before + after)[-1] == "b")


def test_many_stars_take_no_longer_than_few():
    hostile = FeatureSetting(match="a*" * 100 + "b", distance=0.5)
    assert not hostile.fits("a" * 10_000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("zip", "write MATCH=TYPE or MATCH=DISTANCE"),
        ("=Number", "write MATCH=TYPE or MATCH=DISTANCE"),
        ("zip=Postcode", "'Postcode' of 'zip=Postcode' is not allowed: Number, Category"),
        ("zip=2", "'2' of 'zip=2' is not allowed"),
        ("zip=nan", "'nan' of 'zip=nan' is not allowed"),
    ],
)
def test_what_is_no_setting_is_refused(text, says):
    with pytest.raises(InputError) as caught:
        parse_setting(text)
    assert says in str(caught.value)
