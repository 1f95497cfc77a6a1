"""Which deployments are looked at when a policy or a namespace changes."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.runtime.deployments import Deployments, Needs
from mooring_operator.runtime.workqueue import Key

KEYS = st.builds(Key, st.just("ModelDeployment"), st.sampled_from("xyz"), st.sampled_from("abcd"))
NAMES = st.frozensets(st.sampled_from("pq"))
NEEDS = st.builds(Needs, NAMES, NAMES, st.booleans())
STEPS = st.lists(st.tuples(KEYS, NEEDS | st.none()), max_size=30)


def on(expected, runtime):
    return {key for key, needs in expected.items() if needs.any_runtime or runtime in needs.runtimes}


@given(STEPS)
def test_it_knows_what_is_there_and_what_each_depends_on(steps):
    found, expected = Deployments(), {}
    for key, needs in steps:
        if needs is None:
            found.forget(key)
            expected.pop(key, None)
        else:
            found.note(key, needs)
            expected[key] = needs
    assert set(found.all()) == expected.keys()
    for namespace in "xyz":
        inside = {key for key in expected if key.namespace == namespace}
        assert set(found.inside(namespace)) == inside
        assert set(found.naming(namespace, "p")) == {key for key in inside if "p" in expected[key].policies}
        assert set(found.running_on(namespace, "p")) == inside & on(expected, "p")
    assert set(found.running_on("", "p")) == on(expected, "p")
    assert len(found._known) == len({key.namespace for key in expected})
