"""A Prometheus, and how one finds the pods of models: by the PodMonitor that is installed with Mooring."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from cluster.building import build
from cluster.processes import Process, Watchdog, free_ports, start, wait_until_ready

_MONITORS = Path(__file__).parents[1] / "manifests" / "components" / "monitoring" / "pod-monitor.yaml"
_MODELS = "mooring-models"
_READY_S = 60.0


class Prometheus:
    """A Prometheus with a configuration, and its data in a folder, in a ``with`` statement; it answers at ``url``."""

    def __init__(self, configuration: Mapping[str, Any], folder: Path) -> None:
        self._configuration, self._folder = configuration, folder
        self._port = free_ports(1)[0]
        self._process: Process | None = None
        self._watchdog: Watchdog | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Build and start it; one that was closed goes on with its data, at the same address.

        Raises:
            ProgramUnavailableError: it cannot be had here.
            StartError: it did not start.
        """
        program = build(["prometheus"])["prometheus"]
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._configuration))
        command: list[str | Path] = [
            program, f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn",
        ]  # fmt: skip
        self._watchdog = Watchdog()
        try:
            self._process = start("prometheus", command, log=self._folder / "prometheus.log")
            self._watchdog.watch(self._process)
            wait_until_ready(self._process, self._is_ready, timeout=_READY_S)
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._watchdog is not None:
            self._watchdog.dismiss()
            self._watchdog = None

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def finding_models(kubeconfig: Path, interval_s: int) -> dict[str, Any]:
    """Give what Prometheus' operator makes of the PodMonitor of models, with another interval."""
    documents = yaml.safe_load_all(_MONITORS.read_text())
    monitor = next(found for found in documents if found["metadata"]["name"] == _MODELS)
    selected = [_selected(rule) for rule in monitor["spec"]["selector"]["matchExpressions"]]
    named = [
        {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}
        for source, target in (("namespace", "namespace"), ("pod_name", "pod"))
    ]
    jobs = [
        {
            "job_name": f"{_MODELS}/{number}",
            "metrics_path": endpoint["path"],
            "scrape_interval": f"{interval_s}s",
            "scrape_timeout": f"{interval_s}s",
            "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(kubeconfig)}],
            "relabel_configs": [
                *selected,
                *_of_port(endpoint),
                *named,
                *map(_relabeling, endpoint["relabelings"]),
            ],
        }
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]
    return {"scrape_configs": jobs}


def named_in(folder: Path, interval_s: int) -> dict[str, Any]:
    """Give the job that scrapes what the JSON files of a folder name: ``[{targets: [ADDRESS], labels: {}}]``."""
    return {
        "job_name": "named",
        "scrape_interval": f"{interval_s}s",
        "scrape_timeout": f"{interval_s}s",
        "file_sd_configs": [{"files": [f"{folder}/*.json"]}],
    }


def _of_port(endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the rule that keeps the port which an endpoint names; none where it names none."""
    if "port" not in endpoint:
        return []
    source = "__meta_kubernetes_pod_container_port_name"
    return [{"source_labels": [source], "regex": endpoint["port"], "action": "keep"}]


def _selected(rule: Mapping[str, Any]) -> dict[str, Any]:
    if rule["operator"] != "Exists":
        raise ValueError(f"{_MODELS}: matchExpressions {rule['operator']} is not understood here")
    label = re.sub(r"[^a-zA-Z0-9_]", "_", rule["key"])
    return {
        "source_labels": [f"__meta_kubernetes_pod_labelpresent_{label}"],
        "regex": "true",
        "action": "keep",
    }


def _relabeling(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {names.get(name, name): value for name, value in rule.items()}
