"""Which deployments are looked at when a policy or a namespace changes."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.runtime.deployments import Deployments
from mooring_operator.runtime.workqueue import Key

KEYS = st.builds(Key, st.just("ModelDeployment"), st.sampled_from("xyz"), st.sampled_from("abcd"))
NAMES = st.frozensets(st.sampled_from("pq"))
STEPS = st.lists(st.tuples(KEYS, NAMES | st.none()), max_size=30)


@given(STEPS)
def test_it_knows_what_is_there_and_what_each_names(steps):
    found, expected = Deployments(), {}
    for key, policies in steps:
        if policies is None:
            found.forget(key)
            expected.pop(key, None)
        else:
            found.note(key, policies)
            expected[key] = policies
    assert set(found.all()) == expected.keys()
    for namespace in "xyz":
        inside = {key for key in expected if key.namespace == namespace}
        assert set(found.inside(namespace)) == inside
        assert set(found.naming(namespace, "p")) == {key for key in inside if "p" in expected[key]}
    assert len(found._named) == len({key.namespace for key in expected})
