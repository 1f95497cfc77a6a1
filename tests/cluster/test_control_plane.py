"""The control plane as its users see it: real programs, several at once, nothing left behind."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cluster import ControlPlane, ProgramUnavailableError, StartError, build, kserve, named
from cluster import __main__ as command_line
from cluster.api import Api, ApiError
from cluster.kubeconfig import write_kubeconfig
from cluster.processes import free_ports
from cluster.programs import PROGRAMS, find
from cluster.stand_ins import NodeStandIn, mark_deployment_available

pytest_plugins = ["cluster.pytest_plugin"]

ROOT = Path(__file__).parents[2]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def until(holds, *, timeout=60):
    """Wait for a true value, and give it."""
    deadline = time.monotonic() + timeout
    while not (value := holds()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return value


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name, replicas):
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "none"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache folder, and the programs of the real one, so that nothing is built again."""
    try:
        programs = build()
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    for name, path in programs.items():
        (tmp_path / "assets").mkdir(exist_ok=True)
        (tmp_path / "assets" / name).symlink_to(path)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("MOORING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- one cluster


def test_what_was_created_is_read_back(control_plane):
    control_plane.api.create(config_map("kept", key="value"))
    assert control_plane.api.get(f"{CONFIG_MAPS}/kept")["data"] == {"key": "value"}
    control_plane.api.delete(f"{CONFIG_MAPS}/kept")
    assert control_plane.api.get(f"{CONFIG_MAPS}/kept") is None


def test_a_service_account_may_do_nothing_until_it_is_allowed_to(control_plane):
    api = control_plane.api
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    reader = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}}
    api.apply(account)
    answer = api.request("POST", "/api/v1/namespaces/default/serviceaccounts/nobody/token", request)
    theirs = Api(
        control_plane.server,
        token=answer["status"]["token"],
        authority=control_plane.files.authority.read_bytes(),
    )
    with pytest.raises(ApiError, match="403"):
        theirs.items(CONFIG_MAPS)
    api.apply({**reader, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]})
    api.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "nobody"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "nobody", "namespace": "default"}],
        }
    )

    def allowed():
        try:
            return theirs.items(CONFIG_MAPS) is not None
        except ApiError:
            return False

    until(allowed)


def test_rules_of_a_definition_are_kept(control_plane):
    api = control_plane.api
    spec = {
        "type": "object",
        "properties": {"size": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.size % 2 == 0", "message": "size is even"}],
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    api.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "boats.test.mooring.dev"},
            "spec": {
                "group": "test.mooring.dev",
                "scope": "Namespaced",
                "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
    )
    boats = "/apis/test.mooring.dev/v1/namespaces/default/boats"
    until(lambda: api.get(boats))

    def boat(size):
        return {
            "apiVersion": "test.mooring.dev/v1",
            "kind": "Boat",
            "metadata": {"name": "b"},
            "spec": {"size": size},
        }

    with pytest.raises(ApiError, match="size is even"):
        api.apply(boat(3))
    assert api.apply(boat(4))["spec"]["size"] == 4


def test_the_kubeconfig_works_anywhere(control_plane, tmp_path):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl")
    copy = tmp_path / "copy"
    shutil.copy(control_plane.kubeconfig, copy)
    done = subprocess.run(
        [kubectl, "--kubeconfig", copy, "get", "namespaces", "-o", "name"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=False,
    )
    assert "namespace/default" in done.stdout, done.stderr
    assert control_plane.kubeconfig.stat().st_mode & 0o077 == 0


def test_deployment_status_without_a_controller_manager(control_plane):
    api = control_plane.api
    api.create(deployment("alone", 2))
    mark_deployment_available(api, "default", "alone", available=False)
    assert api.get(f"{DEPLOYMENTS}/alone")["status"]["unavailableReplicas"] == 2
    mark_deployment_available(api, "default", "alone")
    assert api.get(f"{DEPLOYMENTS}/alone")["status"]["availableReplicas"] == 2
    api.delete(f"{DEPLOYMENTS}/alone")


def test_pods_of_a_deployment_become_ready_except_where_told_otherwise(own_cache):
    with ControlPlane(["controller-manager"]) as cluster, NodeStandIn(cluster.api) as node:
        node.unavailable.add("default/pending")
        node.crashing.add("default/broken")
        for name in ("fine", "pending", "broken"):
            cluster.api.create(deployment(name, 2))

        def status(name):
            return cluster.api.get(f"{DEPLOYMENTS}/{name}").get("status", {})

        def phases(name):
            pods = cluster.api.items(f"/api/v1/namespaces/default/pods?labelSelector=app={name}")
            return [pod["status"]["phase"] for pod in pods]

        until(lambda: status("fine").get("availableReplicas") == 2)
        until(lambda: phases("pending") == ["Pending"] * 2)
        until(lambda: phases("broken") == ["Running"] * 2)
        assert "availableReplicas" not in status("pending")
        assert "availableReplicas" not in status("broken")
        # A fault that ends, and one that begins.
        node.crashing.clear()
        node.crashing.add("default/fine")
        until(lambda: status("broken").get("availableReplicas") == 2)
        until(lambda: "availableReplicas" not in status("fine"))


# --- several, and none


def test_two_at_once_share_nothing(control_plane):
    with ControlPlane() as other:
        other.api.create(config_map("here"))
        assert control_plane.api.get(f"{CONFIG_MAPS}/here") is None
        assert other.server != control_plane.server
        assert other.kubeconfig != control_plane.kubeconfig
    assert control_plane.api.get("/api/v1/namespaces/default")


def test_nothing_is_left_of_a_cluster_that_ends(own_cache):
    with ControlPlane() as cluster:
        processes, folder = list(cluster.processes), cluster.files.folder
        assert len(processes) == 2
        assert all(process.alive for process in processes)
    assert not any(runs(process.pid) for process in processes)
    assert not folder.exists()


def test_nothing_is_left_when_the_python_process_is_killed(own_cache):
    program = """
import json, sys, time
from cluster import ControlPlane
with ControlPlane() as cluster:
    print(json.dumps([str(cluster.files.folder), *(process.pid for process in cluster.processes)]), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as victim:
        folder, *pids = json.loads(victim.stdout.readline())
        assert all(map(runs, pids))
        victim.send_signal(signal.SIGKILL)
    until(lambda: not any(map(runs, pids)) and not Path(folder).exists(), timeout=20)


def test_data_is_taken_up_again(own_cache, tmp_path):
    with ControlPlane(data_dir=tmp_path / "data") as cluster:
        cluster.api.create(config_map("kept", key="value"))
    with ControlPlane(data_dir=tmp_path / "data") as cluster:
        assert cluster.api.get(f"{CONFIG_MAPS}/kept")["data"] == {"key": "value"}


# --- what goes wrong


def test_the_log_of_a_program_that_fails_is_shown(own_cache, monkeypatch):
    real = find("kube-apiserver")
    broken = own_cache.parent / "broken"
    script(broken / "kube-apiserver", f"exec {real} --no-such-flag")
    (broken / "etcd").symlink_to(find("etcd"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(broken))
    cluster = ControlPlane()
    with pytest.raises(StartError, match=r"kube-apiserver ended(.|\n)*unknown flag: --no-such-flag"):
        cluster.start()
    assert cluster.processes == []


def test_a_port_that_somebody_takes_first_is_replaced(own_cache, control_plane, monkeypatch):
    taken = int(control_plane.server.rpartition(":")[2])
    answers = [[taken]]

    def ports(count):
        return answers.pop() if count == 1 and answers else free_ports(count)

    monkeypatch.setattr("cluster.control_plane.free_ports", ports)
    with ControlPlane() as cluster:
        assert not answers
        assert cluster.ports["kube-apiserver"] != taken


def test_what_is_missing_is_said_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("MOORING_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.delenv("MOORING_KSERVE", raising=False)
    with pytest.raises(ProgramUnavailableError, match="there is no Go toolchain"):
        ControlPlane().start()


def test_kserve_needs_a_controller_that_is_given(own_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("MOORING_KSERVE", str(tmp_path))
    with pytest.raises(ProgramUnavailableError, match="MOORING_KSERVE"):
        ControlPlane(["kserve"]).start()


def test_extras_are_known_by_name():
    with pytest.raises(ValueError, match="no such extras: scheduler"):
        ControlPlane(["scheduler"])
    assert ControlPlane(["kserve"]).extras == ("controller-manager", "kserve")
    assert ControlPlane(["endpoint-slices"]).extras == ("endpoint-slices",)
    # It has that controller too.
    assert ControlPlane(["controller-manager", "endpoint-slices"]).extras == ("controller-manager",)


def test_a_kubeconfig_of_somebody_else_is_not_overwritten(tmp_path):
    theirs = tmp_path / "config"
    theirs.write_text("apiVersion: v1\n")
    with pytest.raises(FileExistsError):
        write_kubeconfig(theirs, name="x", server="https://127.0.0.1:1", token="t", authority=b"")
    assert theirs.read_text() == "apiVersion: v1\n"


# --- finding and building


@pytest.mark.parametrize(("version", "taken"), [("3.4.23", False), ("3.5.16", True), ("nonsense", False)])
def test_installed_programs_are_taken_if_recent(tmp_path, monkeypatch, version, taken):
    script(tmp_path / "bin" / "etcd", f"echo etcd Version: {version}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("MOORING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.delenv("MOORING_CLUSTER_BUILD", raising=False)
    assert find("etcd") == (tmp_path / "bin" / "etcd" if taken else None)
    monkeypatch.setenv("MOORING_CLUSTER_BUILD", "1")
    assert find("etcd") is None


@pytest.fixture
def fake_go(tmp_path, monkeypatch):
    """A `go` that takes a second, notes each call, and writes what it was asked to."""
    calls = tmp_path / "calls"
    script(
        tmp_path / "bin" / "go",
        f'echo "$@" >> {calls}; sleep 1; echo compiling >&2\n'
        f'[ -e {tmp_path}/fails ] && echo "cannot find module" && exit 1\n'
        'while [ "$1" != -o ]; do shift; done; echo built > "$2"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("MOORING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MOORING_CLUSTER_BUILD", "1")
    return calls


def test_two_processes_build_a_program_once(fake_go):
    command = [sys.executable, "-m", "cluster", "build", "etcd"]
    builders = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [builder.communicate(timeout=60) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], answers
    assert len(fake_go.read_text().splitlines()) == 1
    assert answers[0][0] == answers[1][0] == f"etcd {PROGRAMS['etcd'].built}\n"
    assert PROGRAMS["etcd"].built.read_text() == "built\n"
    assert [path.name for path in PROGRAMS["etcd"].built.parent.iterdir()] == [PROGRAMS["etcd"].built.name]


def test_a_build_that_fails_shows_why_and_leaves_nothing(fake_go):
    (fake_go.parent / "fails").touch()
    with pytest.raises(ProgramUnavailableError, match="cannot find module"):
        build(["kube-apiserver"])
    assert list(PROGRAMS["kube-apiserver"].built.parent.iterdir()) == []


def test_programs_carry_their_version(fake_go):
    build(["kube-apiserver"])
    version = PROGRAMS["kube-apiserver"].version
    assert f"component-base/version.gitVersion={version} " in fake_go.read_text()


# --- named clusters


def test_a_named_cluster_lives_until_it_is_taken_down(own_cache, tmp_path, capsys):
    kubeconfig = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "cluster", "up", "--name", "one", "--kubeconfig", str(kubeconfig)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    running = named.find("one")
    try:
        assert running.healthy
        assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == running.server
        assert command_line.main(["status"]) == 0
        output = capsys.readouterr().out
        assert all(str(program.pid) in output for program in running.programs)
        # Again is no error; another kind of cluster under the same name is one.
        assert named.up("one") == running
        with pytest.raises(named.ClusterError, match="runs without controller-manager"):
            named.up("one", ["controller-manager"])
        os.kill(running.programs[0].pid, signal.SIGKILL)
        until(lambda: not named.find("one").healthy)
        assert command_line.main(["status", "--name", "one"]) == 1
        assert "ended" in capsys.readouterr().out
    finally:
        assert command_line.main(["down", "--name", "one"]) == 0
    assert not any(runs(program.pid) for program in running.programs)
    assert list((own_cache / "clusters").iterdir()) == []
    assert not kubeconfig.exists()
    assert named.down("one") is False


def test_a_process_that_got_the_same_id_is_not_ended(own_cache):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        program = named.Program("etcd", "1", 0, bystander.pid, born=1, log="")
        program.process.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("name", ["", "../x", "Upper", "a" * 41])
def test_names_are_safe_for_folders(name):
    with pytest.raises(named.ClusterError, match="no name for a cluster"):
        named.find(name)


# --- KServe

LABEL = "serving.kserve.io/inferenceservice"
NUMBERS = itertools.count(1)
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "mooring-inference"},
    "spec": {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1", "v2"],
        "containers": [
            {
                "name": "kserve-container",
                "image": "mooring/inference:dev",
                "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"],
            }
        ],
    },
}


def predictor(version, **rest):
    return {"model": {"modelFormat": {"name": "onnx"}, "storageUri": f"s3://models/{version}"}, **rest}


def canary(version, percent, **rest):
    return {"trafficPercent": percent, "predictor": predictor(version, name=version, **rest)}


class Service:
    """One InferenceService, written and read as its users and its neighbours see it."""

    def __init__(self, api, name):
        self.api, self.name = api, name

    def apply(self, **spec):
        """Server-side apply: what is left out goes."""
        annotations = {
            "serving.kserve.io/deploymentMode": "Standard",
            "serving.kserve.io/autoscalerClass": "none",
        }
        manifest = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": self.name, "namespace": "default", "annotations": annotations},
            "spec": spec,
        }
        self.api.apply(manifest)

    @property
    def _path(self):
        return f"/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/{self.name}"

    @property
    def status(self):
        return self.api.get(self._path).get("status", {})

    def delete(self):
        self.api.delete(self._path)

    def condition(self, name):
        found = [c for c in self.status.get("conditions", []) if c["type"] == name]
        return (found[0]["status"], found[0].get("reason")) if found else None

    def is_ready(self):
        return self.condition("Ready") is not None and self.condition("Ready")[0] == "True"

    def replicas(self):
        """Replicas asked for, by Deployment."""
        return {
            item["metadata"]["name"]: item["spec"]["replicas"]
            for item in self.api.items(f"{DEPLOYMENTS}?labelSelector={LABEL}={self.name}")
        }

    def pods(self, deployment_name):
        pods = self.api.items(f"/api/v1/namespaces/default/pods?labelSelector=app=isvc.{deployment_name}")
        return {pod["metadata"]["uid"]: pod["status"].get("phase") for pod in pods}

    def weights(self, route=None):
        """Weights by Service, on the route that users call."""
        routes = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"
        found = self.api.get(f"{routes}/{route or self.name}")
        backends = found["spec"]["rules"][0]["backendRefs"] if found else []
        return {backend["name"]: backend["weight"] for backend in backends}


@pytest.fixture
def service(kserve_cluster, node, tmp_path):
    manifest = tmp_path / "runtime.yaml"
    manifest.write_text(yaml.safe_dump(RUNTIME))
    kserve.apply_file(kserve_cluster.api, manifest)
    service = Service(kserve_cluster.api, f"m{next(NUMBERS)}")
    yield service
    service.delete()
    until(lambda: not service.replicas())


def test_kserve_splits_traffic_between_stable_and_a_canary(service):
    name, stable, second = service.name, f"{service.name}-predictor", f"{service.name}-v2-predictor"
    service.apply(predictor=predictor("v1", minReplicas=4), canary=[canary("v2", 25)])
    until(lambda: service.weights() == {stable: 75, second: 25})
    until(service.is_ready)
    assert service.weights(stable) == {stable: 75, second: 25}
    assert service.condition("CanaryPredictorReady") == ("True", "AllCanariesReady")
    (state,) = service.status["canaryStatuses"]
    assert (state["name"], state["ready"], state["trafficPercent"]) == ("v2", True, 25)
    # Stable gives up what the canary takes over.
    until(lambda: service.replicas() == {stable: 3, second: 1})
    services = service.api.items(f"/api/v1/namespaces/default/services?labelSelector={LABEL}={name}")
    assert {item["metadata"]["name"] for item in services} == {stable, second}


def test_kserve_promotes_a_canary_without_a_new_pod(service):
    stable, second = f"{service.name}-predictor", f"{service.name}-v2-predictor"
    service.apply(predictor=predictor("v1", minReplicas=2), canary=[canary("v2", 100, minReplicas=2)])
    until(lambda: service.weights() == {stable: 0, second: 100})
    until(lambda: list(service.pods(second).values()) == ["Running"] * 2)
    before = service.pods(second)
    service.apply(predictor=predictor("v2", name="v2", minReplicas=2))
    until(lambda: service.replicas() == {second: 2})
    until(lambda: service.weights() == {second: 1})
    assert service.pods(second) == before
    assert "canaryStatuses" not in service.status


@pytest.mark.parametrize("fault", ["unavailable", "crashing"])
def test_kserve_gives_no_traffic_to_a_canary_that_is_not_ready(service, node, fault):
    stable, second = f"{service.name}-predictor", f"{service.name}-v2-predictor"
    getattr(node, fault).add(f"default/{second}")
    service.apply(predictor=predictor("v1", minReplicas=2), canary=[canary("v2", 50)])
    until(lambda: service.weights() == {stable: 100})
    until(service.is_ready)
    assert service.condition("CanaryPredictorReady") == ("False", "CanariesNotReady")
    # All that KServe says of it: why, only the pods tell.
    assert service.status["canaryStatuses"] == [
        {"name": "v2", "ready": False, "trafficPercent": 50, "modelStatus": {"transitionStatus": ""}}
    ]
    assert service.replicas() == {stable: 2, second: 1}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"canary": [{"trafficPercent": 5, "predictor": predictor("v2")}]}, "predictor.name is required"),
        ({"canary": [canary("v2", 60), canary("v3", 50)]}, r"sum of canary trafficPercent values \(110\)"),
        ({"canary": [canary("v2", 5, minReplicas=3)]}, "must not exceed stable predictor minReplicas"),
        ({"canary": [canary("v2", 5, maxReplicas=3)]}, "must not set maxReplicas"),
        ({"predictor": predictor("v1", name="v2", minReplicas=2)}, "name change requires a model change"),
    ],
)
def test_kserve_refuses(service, spec, message):
    service.apply(predictor=predictor("v1", minReplicas=2))
    with pytest.raises(ApiError, match=message):
        service.apply(**{"predictor": predictor("v1", minReplicas=2), **spec})
