"""Keys of signers that an administrator keeps in a ConfigMap, under policies that wait for them."""

import os
from pathlib import Path

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import CLUSTER_MODEL_POLICY, MODEL_POLICY
from mooring_operator.runtime.workqueue import Key

from tests.operator.world import ROLLOUT, World

PEM = (Path(__file__).parents[1] / "unit" / "components" / "signed_by_model_signing.pem").read_text()
OTHER = PEM.replace("M", "N", 1)
SIGNED = {"signedBy": [{"name": "release"}]}
HOUSE_RULES = Ref(MODEL_POLICY, "ns", "house-rules")


@pytest.fixture
def mounted(world: World):
    """Writes the ConfigMap's files as the kubelet does: a folder of them, and then the link to it at once."""
    world.signers = world.folder / "signers" / "data"
    world.signers.parent.mkdir()

    def write(**keys):
        folder = world.signers.parent / f"version-{len(list(world.signers.parent.iterdir()))}"
        folder.mkdir()
        for name, text in keys.items():
            (folder / f"{name}.pem").write_text(text)
        (world.signers.parent / "next").symlink_to(folder.name)
        os.replace(world.signers.parent / "next", world.signers)

    return write


async def test_what_waits_for_a_key_goes_on_by_itself_once_it_is_there(world: World, mounted):
    await world.start()
    world.ci.signer = "release"
    world.objects.apply(HOUSE_RULES, {"metadata": {"name": "house-rules"}, "spec": SIGNED}, "user")
    world.deploy("v1", policies=["house-rules"], **ROLLOUT)
    await world.settle_in("Pending")
    waiting = world.status
    message = "ModelPolicy house-rules: ConfigMap mooring-signers has no key of release"
    assert (waiting["phase"], waiting["reason"], waiting["message"]) == ("Pending", "SignerUnknown", message)
    assert world.condition("PoliciesMet")["status"] == "Unknown"
    # Without a key there is nothing to look up.
    assert len(world.runs.ids) == 0
    mounted(release=PEM)
    assert (await world.settle())["phase"] == "Promoted"
    assert world.condition("PoliciesMet")["status"] == "True"
    assert len(world.runs.ids) == 1


async def test_a_key_that_is_replaced_counts_no_more(world: World, mounted):
    mounted(release=PEM)
    await world.start()
    world.ci.signer = "release"
    world.objects.apply(HOUSE_RULES, {"metadata": {"name": "house-rules"}, "spec": SIGNED}, "user")
    await world.promote("v1", policies=["house-rules"], **ROLLOUT)
    mounted(release=OTHER)
    await world.step()
    met = world.condition("PoliciesMet")
    assert (met["status"], world.phase) == ("False", "Promoted")
    assert "signature: signed by release, which is none of release" in met["message"]


@pytest.mark.parametrize(
    "kind", [MODEL_POLICY, CLUSTER_MODEL_POLICY], ids=["of a namespace", "of the cluster"]
)
async def test_a_policy_says_which_signers_have_no_key_and_looks_again(world: World, mounted, kind):
    mounted(other=OTHER)
    await world.start()
    namespace = "ns" if kind == MODEL_POLICY else ""
    ref, key = Ref(kind, namespace, "house-rules"), Key(kind.kind, namespace, "house-rules")
    inline = {"name": "inline", "publicKey": PEM}
    signers = [{"name": "release"}, {"name": "other"}, inline]
    spec = {"signedBy": signers}
    world.objects.apply(ref, {"metadata": {"name": "house-rules"}, "spec": spec}, "user")

    def said():
        return [
            (condition["type"], condition["status"], condition["reason"], condition["message"])
            for condition in world.objects.get(ref)["status"]["conditions"]
        ]

    pause = await world.operator.reconcile(key)
    message = "spec.signedBy release: ConfigMap mooring-signers has no key of that name"
    assert said() == [
        ("Ready", "False", "SignerUnknown", message),
        ("Stalled", "True", "SignerUnknown", message),
    ]
    assert pause == 60.0
    mounted(other=OTHER, release=PEM)
    assert await world.operator.reconcile(key) == 60.0
    assert [each[:3] for each in said()] == [("Ready", "True", "PolicyAccepted")]
    mounted(other=OTHER)
    await world.operator.reconcile(key)
    assert said()[0] == ("Ready", "False", "SignerUnknown", message)


async def test_a_policy_with_keys_of_its_own_waits_for_no_file(world: World):
    spec = {"signedBy": [{"name": "release", "publicKey": PEM}]}
    world.objects.apply(HOUSE_RULES, {"metadata": {"name": "house-rules"}, "spec": spec}, "user")
    assert await world.operator.reconcile(Key("ModelPolicy", "ns", "house-rules")) is None
    assert world.condition("Ready", HOUSE_RULES)["status"] == "True"
