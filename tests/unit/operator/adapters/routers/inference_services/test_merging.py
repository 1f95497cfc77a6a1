"""A template merged into what Mooring writes: everything that it says is there, and what it leaves out stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.inference_services.merging import merged

NAMED = st.sampled_from(["containers", "initContainers", "volumes", "env"])
PLAIN = st.sampled_from(["image", "args", "labels", "resources"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from("abc")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(PLAIN, inner, max_size=3),
        st.dictionaries(
            NAMED,
            st.lists(
                st.builds(
                    lambda name, more: {**more, "name": name},
                    st.sampled_from("xyz"),
                    st.dictionaries(PLAIN, inner, max_size=2),
                ),
                max_size=3,
            ),
            max_size=2,
        ),
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.one_of(PLAIN, NAMED), VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_merging_again_changes_nothing(base, template):
    once = merged(base, template)
    assert merged(once, template) == once


@given(OBJECTS)
def test_an_empty_template_changes_nothing(base):
    assert merged(base, {}) == base
    assert merged(base, dict.fromkeys(base)) == base


@given(OBJECTS, OBJECTS)
def test_what_either_says_is_there(base, template):
    out = merged(base, template)
    assert {name for name, value in template.items() if value is not None} | set(base) == set(out)
    for name, value in base.items():
        if template.get(name) is None:
            assert out[name] == value


@given(OBJECTS, OBJECTS)
def test_neither_is_changed_in_place(base, template):
    copies = merged({}, base), merged({}, template)
    merged(base, template)
    assert copies == (merged({}, base), merged({}, template))


@pytest.mark.parametrize(
    ("base", "template", "out"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}),
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "c"}, {"name": "a", "tty": True}]},
            {"containers": [{"name": "a", "image": "1", "tty": True}, {"name": "b"}, {"name": "c"}]},
        ),
        # A variable has a value of one kind, and a volume a source of one.
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        ),
        (
            {"volumeMounts": [{"mountPath": "/a", "name": "a"}]},
            {"volumeMounts": [{"mountPath": "/a", "readOnly": True}, {"mountPath": "/b", "name": "b"}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "a", "readOnly": True}, {"mountPath": "/b", "name": "b"}]},
        ),
        (
            {"ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"ports": [{"containerPort": 80, "name": "h2c"}, {"containerPort": 80, "protocol": "UDP"}]},
            {
                "ports": [
                    {"containerPort": 80, "protocol": "TCP", "name": "h2c"},
                    {"containerPort": 80, "protocol": "UDP"},
                ]
            },
        ),
        ({"a": 1}, {"a": None}, {"a": 1}),
        # What has no name cannot be told from others: the list as a whole is the template's.
        ({"containers": [{"name": "a"}]}, {"containers": [{"image": "b"}]}, {"containers": [{"image": "b"}]}),
        ({"containers": [None]}, {"containers": [{"name": "a"}]}, {"containers": [{"name": "a"}]}),
        ({"containers": [{"name": "a"}]}, {"containers": [{"name": []}]}, {"containers": [{"name": []}]}),
    ],
)  # fmt: skip
def test_lists_of_named_things_merge_by_their_names(base, template, out):
    assert merged(base, template) == out
