"""Energy is read from the meters that there are, and nothing fails where there is none."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from mooring_components.conclusions import conclude
from mooring_components.energy import METRIC, NO_METER, Counter, find_counters, measure_energy
from mooring_components.feeding import feed_model
from mooring_components.outcomes import Estimated
from mooring_components.quality import measure

from tests.unit.components.test_importances import linear, rows_of

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def fed(tmp_path):
    (tmp_path / "model").mkdir()
    return feed_model(linear(tmp_path / "model"), rows_of(8), {})


@pytest.fixture
def powercap(tmp_path):
    """A tree as the kernel's: a package with its cores and memory, and the platform that holds it."""
    for zone, name in {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "dtpm": "dtpm",
    }.items():
        folder = tmp_path / "powercap" / zone
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text("1000000\n")
        (folder / "max_energy_range_uj").write_text("5000000\n")
    return tmp_path / "powercap"


def test_packages_and_memory_are_counted_once(powercap):
    counters = find_counters("cpu", powercap)
    before = [counter.read() for counter in counters]
    assert before == [1.0, 1.0]
    for zone, energy in (("intel-rapl:0", 3_000_000), ("intel-rapl:0:0", 9), ("intel-rapl:0:1", 1_500_000)):
        (powercap / zone / "energy_uj").write_text(f"{energy}\n")
    assert [counter.since(start) for counter, start in zip(counters, before, strict=True)] == [2.0, 0.5]


def test_a_counter_that_begins_again_goes_on(powercap):
    counter = find_counters("cpu", powercap)[0]
    (powercap / "intel-rapl:0/energy_uj").write_text("250000\n")
    assert counter.since(4.5) == 0.75


@pytest.mark.parametrize("content", ["", "none\n"])
def test_a_counter_that_cannot_be_read_is_none(powercap, content):
    (powercap / "intel-rapl:0/energy_uj").write_text(content)
    assert len(find_counters("cpu", powercap)) == 1
    (powercap / "intel-rapl:0:1/energy_uj").unlink()
    assert find_counters("cpu", powercap) == []
    assert find_counters("cpu", powercap / "nowhere") == []


def test_joules_are_those_of_as_many_predictions(fed):
    spent = iter([10.0, 16.0])
    found = measure_energy(fed, [Counter(lambda: next(spent))], seconds=0.0)
    assert found == {METRIC: 6000.0}


def test_without_a_meter_nothing_is_predicted_or_measured(fed, monkeypatch):
    monkeypatch.setattr(type(fed), "answer", lambda *_: pytest.fail("it was asked"))
    assert measure_energy(fed, []) == {}


def gone():
    raise PermissionError


@pytest.mark.parametrize("read", [lambda: 3.0, gone], ids=["stands still", "is gone"])
def test_a_meter_that_tells_nothing_is_none(fed, read):
    assert measure_energy(fed, [Counter(read)], seconds=0.0) == {}


def test_gpus_are_counted_where_the_model_is_on_one(powercap, monkeypatch):
    class NVMLError(Exception):
        pass

    counts = {0: 5000, 1: 7000}
    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: counts[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert [each.read() for each in find_counters("cuda:0", powercap)] == [1.0, 1.0, 5.0, 7.0]
    assert len(find_counters("cpu", powercap)) == 2

    def refuse():
        raise NVMLError

    nvml.nvmlInit = refuse
    assert len(find_counters("cuda:0", powercap)) == 2
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert len(find_counters("cuda:0", powercap)) == 2


def concluded(tmp_path, latency, gate):
    """The verdict on a linear model, of these metrics beside its quality, by one gate."""
    outcome = Estimated(np.arange(4.0), np.arange(4.0))
    quality = measure(outcome)
    (tmp_path / "evidence").write_text(quality.evidence.model_dump_json())
    facts, told = {"digest": DIGEST, "modelSizeMB": 1.0}, {**quality.to_json(), "testDataDigest": DIGEST}
    return conclude("r", "s3://m", facts, told, latency, [gate], "", tmp_path / "evidence").verdict


def test_a_gate_on_energy_holds_by_what_the_meter_says(tmp_path):
    at_most = {"metric": METRIC, "max": 5.0}
    assert concluded(tmp_path, {METRIC: 4.0}, at_most).passed
    (violation,) = concluded(tmp_path, {METRIC: 6.0}, at_most).violations
    assert violation.message == f"{METRIC} 6 is above the maximum 5"


def test_a_gate_on_energy_does_not_hold_without_a_meter_and_says_so(tmp_path):
    (violation,) = concluded(tmp_path, {"latencyP95Ms": 1.0}, {"metric": METRIC, "max": 5.0}).violations
    assert violation.message == f"{METRIC} was not measured: {NO_METER}"
    assert "\n" not in NO_METER
