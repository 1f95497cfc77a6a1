"""A ModelDeployment before KServe's own controller: what it asks for, and what KServe runs for it."""

from tests.cluster.rollout_steps import SERVING, Model, until

RUNTIMES = "/apis/serving.kserve.io/v1alpha1"
CLUSTER_RUNTIMES = f"{RUNTIMES}/clusterservingruntimes"
ONNX = {"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}
FIXED = {"minReplicas": 1, "autoscaling": {"scaler": "None"}}


def runtime(name, *formats, image="server:1", namespace="", **spec):
    """A runtime of the cluster's, or of a namespace."""
    container = {
        "name": "kserve-container",
        "image": image,
        "args": ["--model_name={{.Name}}"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime" if namespace else "ClusterServingRuntime",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": {
            "supportedModelFormats": [dict(entry) for entry in formats],
            "protocolVersions": ["v1", "v2"],
            "containers": [container],
            **spec,
        },
    }


class Deployed(Model):
    """A ModelDeployment by pods, with what KServe runs for it."""

    def deploy(
        self, version="v1", *, steps=None, router="Endpoints", deadline="60s", fetched=False, **serving
    ):
        """Ask for a version of the model; one pod, unless `serving` says else.

        What is `fetched` has a storage initializer in its pods.
        """
        rollout = {"router": router, "progressDeadline": deadline, "steps": steps or [{"setWeight": 100}]}
        model = {"uri": f"hf://example/{self.name}:{version}", "format": "onnx"}
        spec = {"rollout": rollout, **({"model": model} if fetched else {})}
        return self.apply(version, spec=spec, **{**FIXED, **serving})

    def running(self):
        """Its pods that are not on their way out, by name."""
        found = self.api.items(f"/api/v1/namespaces/{self.namespace}/pods")
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if pod["metadata"]["name"].startswith(f"{self.name}-")
            and "deletionTimestamp" not in pod["metadata"]
        }

    def pods(self):
        """The images of its pods, by the pod's name."""
        return {name: pod["spec"]["containers"][0]["image"] for name, pod in self.running().items()}

    def of(self, path):
        """Objects below a path that are marked as its own."""
        return [
            each
            for each in self.api.items(path)
            if (each["metadata"].get("labels") or {}).get("mooring.dev/model-deployment") == self.name
        ]

    def services(self):
        """Its InferenceServices, by name."""
        found = self.api.items(f"{SERVING}/namespaces/{self.namespace}/inferenceservices")
        return {
            each["metadata"]["name"]: each
            for each in found
            if each["metadata"]["name"] == self.name or each["metadata"]["name"].startswith(f"{self.name}-")
        }

    def deployments(self):
        """The Deployments behind it, by name."""
        found = self.api.items(f"/apis/apps/v1/namespaces/{self.namespace}/deployments")
        return {
            each["metadata"]["name"]: each
            for each in found
            if each["metadata"]["name"].startswith(f"{self.name}-")
        }

    def has(self, count):
        """Wait for so many pods that are ready; give their names."""

        def ready(pods):
            conditions = [pod.get("status", {}).get("conditions", []) for pod in pods.values()]
            good = [c for found in conditions for c in found if (c["type"], c["status"]) == ("Ready", "True")]
            return len(pods) == len(good) == count

        return set(until(self.running, ready, what=f"{self.name} has not {count} pods"))
