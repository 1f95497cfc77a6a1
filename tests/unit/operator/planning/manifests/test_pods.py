"""Text in a pod reaches the container as it was written."""

import string

from hypothesis import example, given, settings
from hypothesis import strategies as st
from mooring_operator.planning.manifests.pods import escape_expansion

VARIABLES = {"PASSWORD": "hunter2"}


def expanded(text: str) -> str:
    """What the kubelet makes of a command, an argument or a variable; Kubernetes, "Define dependent variables"."""
    out, at = [], 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            out.append(text[at])
            at += 1
        elif text[at + 1] == "$":
            out.append("$")
            at += 2
        elif text[at + 1] == "(" and (end := text.find(")", at)) > 0:
            name = text[at + 2 : end]
            out.append(VARIABLES.get(name, text[at : end + 1]))
            at = end + 1
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


def test_the_kubelet_expands_what_is_not_escaped():
    assert expanded("a$(PASSWORD)b $$(PASSWORD) $") == "ahunter2b $(PASSWORD) $"
    # Why it is not enough to write $( as $$(.
    assert expanded("$$(PASSWORD)".replace("$(", "$$(")) == "$hunter2"


@settings(deadline=None)
@given(st.text(alphabet="$()" + "PASWORD" + string.ascii_lowercase))
@example("$(PASSWORD)")
@example("$$(PASSWORD)")
@example("$$$(PASSWORD)$")
def test_escaped_text_arrives_as_it_was(text: str):
    assert expanded(escape_expansion(text)) == text
