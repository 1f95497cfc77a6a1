"""The pipeline `model-ci`: validate data, fetch a model, measure it, judge it by gates, register it, write
the verdict.

KFP copies the source of each component into the compiled pipeline, which is why every component
imports what it needs inside its body and does nothing but call `mooring_components`.
A violated gate is a result, not a failure: only errors make a run fail.
"""

# mypy: disable-error-code="untyped-decorator"
from typing import Any

from kfp import dsl

from mooring_pipelines.credentials import NO_SECRET, opens_addresses
from mooring_pipelines.data_checks import check_data
from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def fetch_model(
    model_uri: str,
    model_digest: str,
    model_format: str,
    allow: list[Any],
    endpoint: str,
    demands: dict[str, Any],
    run_id: str,
    verdict_uri: str,
    model: dsl.Output[dsl.Model],
) -> dict[str, Any]:
    """Copy the model, check its digest, look through its files, and load it unless something else serves it."""
    from pathlib import Path

    from mooring_artifacts.demands import parse_demands
    from mooring_components.endpoints import check_address
    from mooring_components.fetching import facts_of_served, fetch_model, fetch_served
    from mooring_components.inspection import inspect_model
    from mooring_components.models import open_model
    from mooring_components.registration.signatures import describe_signature
    from mooring_components.scanning.step import scan_fetched
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("fetch-model", run_id, verdict_uri))
    wanted = parse_demands(demands)
    if endpoint:
        check_address(endpoint)
        # The next steps need a folder, whatever is in it.
        Path(model.path).mkdir(parents=True, exist_ok=True)
        served = fetch_served(model_uri, Path(model.path), model_digest)
        scanned = scan_fetched(served, model_uri, model_format, allow, elsewhere=True)
        inspected = inspect_model(model_uri, served, wanted)
        facts, framework = facts_of_served(served, model_digest), "endpoint"
    else:
        fetched = fetch_model(model_uri, Path(model.path), model_digest)
        # Before anything of it is loaded.
        scanned = scan_fetched(fetched, model_uri, model_format, allow, elsewhere=False)
        inspected = inspect_model(model_uri, fetched, wanted)
        facts, opened = fetched.facts, open_model(fetched.folder, model_uri, allow=allow)
        framework = opened.backend.platform
        model.metadata["signature"] = describe_signature(opened.signature)
    model.metadata.update(uri=model_uri, digest=facts["digest"], framework=framework)
    return {**facts, **scanned, **inspected}


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def evaluate_quality(
    model: dsl.Input[dsl.Model],
    allow: list[Any],
    test_data_uri: str,
    test_data_digest: str,
    test_options: dict[str, Any],
    label_column: str,
    champion_uri: str,
    champion_digest: str,
    endpoint: str,
    run_id: str,
    verdict_uri: str,
    quality: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    evidence: dsl.Output[dsl.Artifact],
) -> dict[str, Any]:
    """Run the model on the test data; compare with the labels, and with the model that serves now."""
    import tempfile
    from pathlib import Path

    from mooring_components.champions import evaluate_beside
    from mooring_components.datasets import load_test_data
    from mooring_components.options import parse_options
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("evaluate-quality", run_id, verdict_uri))
    options = parse_options(test_options)
    data = load_test_data(test_data_uri, label_column, expected_digest=test_data_digest)
    with tempfile.TemporaryDirectory() as place:
        result = evaluate_beside(
            Path(model.path), data, options, allow, champion_uri, champion_digest, Path(place), endpoint
        )
    for name, value in result.metrics.items():
        quality.log_metric(name, value)
    if result.categories:
        confusion.log_confusion_matrix(result.categories, result.confusion)
    Path(evidence.path).write_text(result.evidence.model_dump_json())
    if result.hint:
        print(f"hint: {result.hint}")
    return {**result.to_json(), "testDataDigest": data.digest}


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def measure_latency(
    model: dsl.Input[dsl.Model],
    allow: list[Any],
    test_data_uri: str,
    test_options: dict[str, Any],
    label_column: str,
    quality: dict[str, Any],
    endpoint: str,
    run_id: str,
    verdict_uri: str,
    latency: dsl.Output[dsl.Metrics],
    timings: dsl.Output[dsl.Artifact],
) -> dict[str, Any]:
    """Time single-row requests on one CPU thread, or over the network, with the data that quality was measured on."""
    import json
    from pathlib import Path

    from mooring_artifacts.data_versions.references import pin
    from mooring_components.datasets import load_test_data
    from mooring_components.endpoints import is_generative, open_endpoint
    from mooring_components.energy import NO_METER, measure_energy
    from mooring_components.feeding import feed_model
    from mooring_components.generative import time_answers
    from mooring_components.latency import summarize_latency, time_requests
    from mooring_components.models import open_model
    from mooring_components.options import parse_options
    from mooring_components.rates import measure_rates
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("measure-latency", run_id, verdict_uri))
    measured_on = quality["testDataDigest"]
    # A dataset may have a newer version by now.
    data = load_test_data(pin(test_data_uri, measured_on), label_column, expected_digest=measured_on)
    options = parse_options(test_options)
    beside: dict[str, float] = {}
    if is_generative(endpoint):
        taken, beside = time_answers(endpoint, data, options)
    else:
        if endpoint:
            opened = open_endpoint(endpoint, data, options)
        else:
            opened = open_model(Path(model.path), allow=allow, threads=1)
        fed = feed_model(opened, data, options.inputs, options.beside)
        taken = time_requests(fed)
        beside = measure_rates(fed)
        if not endpoint:
            energy = measure_energy(fed)
            beside |= energy
            if not energy:
                print(f"energy: {NO_METER}")
    Path(timings.path).write_text(json.dumps(taken))
    metrics = {**summarize_latency(taken), **beside}
    for name, value in metrics.items():
        latency.log_metric(name, value)
    return metrics


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def register_model(
    model: dsl.Input[dsl.Model],
    evidence: dsl.Input[dsl.Artifact],
    registration: dict[str, Any],
    model_uri: str,
    model_facts: dict[str, Any],
    quality: dict[str, Any],
    latency_metrics: dict[str, Any],
    gates: list[Any],
    champion_digest: str,
    test_data_uri: str,
    label_column: str,
    run_id: str,
    verdict_uri: str,
) -> dict[str, Any]:
    """Register what passed as a version in MLflow; what is in the way is told, and makes no verdict another."""
    from pathlib import Path

    from mooring_components.conclusions import conclude
    from mooring_components.registration.step import Outcome, parse_wanted, register_tested
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("register-model", run_id, verdict_uri))
    wanted = parse_wanted(registration)
    concluded = conclude(
        run_id, model_uri, model_facts, quality, latency_metrics, gates, champion_digest, Path(evidence.path)
    )
    known = model.metadata
    outcome = Outcome(
        concluded.verdict,
        gates,
        concluded.hint,
        test_data_uri,
        label_column,
        known.get("framework", ""),
        known.get("signature", ""),
    )
    found = register_tested(wanted, outcome)
    print(found.in_words())
    return found.model_dump(mode="json", exclude_none=True)


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def write_verdict(
    run_id: str,
    model_uri: str,
    model_facts: dict[str, Any],
    quality: dict[str, Any],
    latency_metrics: dict[str, Any],
    gates: list[Any],
    champion_digest: str,
    registration: dict[str, Any],
    verdict_uri: str,
    page_uri: str,
    evidence: dsl.Input[dsl.Artifact],
    timings: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.Markdown],
    page: dsl.Output[dsl.HTML],
) -> bool:
    """Judge all metrics by the gates; write the verdict where the operator reads it."""
    from pathlib import Path

    from mooring_components.conclusions import conclude
    from mooring_components.report.step import write_reports
    from mooring_components.steps import Place, tell_errors_in_one_line
    from mooring_components.verdicts import write_verdict

    tell_errors_in_one_line(Place("write-verdict", run_id, verdict_uri))
    concluded = conclude(
        run_id,
        model_uri,
        model_facts,
        quality,
        latency_metrics,
        gates,
        champion_digest,
        Path(evidence.path),
        registration,
    )
    verdict, sources = concluded.verdict, (Path(evidence.path), Path(timings.path))
    targets = (Path(report.path), Path(page.path))
    write_reports(verdict, gates, concluded.found, concluded.hint, sources, targets, page_uri)
    write_verdict(verdict, verdict_uri)
    return verdict.passed


@dsl.pipeline(name="model-ci", description="Test a model and judge it by gates before it is served.")
def model_ci(
    model_uri: str,
    test_data_uri: str,
    verdict_uri: str,
    run_id: str,
    model_digest: str = "",
    model_format: str = "",
    test_data_digest: str = "",
    data_schema: str = "",
    validates_data: bool = False,
    test_options: dict[str, Any] = {},  # noqa: B006 - KFP reads the defaults, nobody mutates them
    label_column: str = "label",
    champion_uri: str = "",
    champion_digest: str = "",
    allow: list[Any] = [],  # noqa: B006
    gates: list[Any] = [],  # noqa: B006
    page_uri: str = "",
    endpoint: str = "",
    registers: bool = False,
    registration: dict[str, Any] = {},  # noqa: B006
    demands: dict[str, Any] = {},  # noqa: B006
    credentials_secret: str = NO_SECRET,
) -> None:
    """Check the data; fetch, evaluate, time and judge one model, or what answers at `endpoint`."""
    # A pipeline of its own, because no step may wait for one inside of a condition.
    checked = check_data(
        test_data_uri=test_data_uri,
        test_data_digest=test_data_digest,
        data_schema=data_schema,
        validates_data=validates_data,
        run_id=run_id,
        verdict_uri=verdict_uri,
        credentials_secret=credentials_secret,
    )
    fetched = fetch_model(
        model_uri=model_uri,
        model_digest=model_digest,
        model_format=model_format,
        allow=allow,
        endpoint=endpoint,
        demands=demands,
        run_id=run_id,
        verdict_uri=verdict_uri,
    ).after(checked)
    model = fetched.outputs["model"]
    quality = evaluate_quality(
        model=model,
        allow=allow,
        test_data_uri=test_data_uri,
        test_data_digest=test_data_digest,
        test_options=test_options,
        label_column=label_column,
        champion_uri=champion_uri,
        champion_digest=champion_digest,
        endpoint=endpoint,
        run_id=run_id,
        verdict_uri=verdict_uri,
    )
    # A neighbour on the same node would be measured too: one after the other.
    latency = measure_latency(
        model=model,
        allow=allow,
        test_data_uri=test_data_uri,
        test_options=test_options,
        label_column=label_column,
        quality=quality.outputs["Output"],
        endpoint=endpoint,
        run_id=run_id,
        verdict_uri=verdict_uri,
    )
    facts = {
        "model_uri": model_uri,
        "model_facts": fetched.outputs["Output"],
        "quality": quality.outputs["Output"],
        "latency_metrics": latency.outputs["Output"],
        "gates": gates,
        "champion_digest": champion_digest,
        "run_id": run_id,
        "verdict_uri": verdict_uri,
        "evidence": quality.outputs["evidence"],
    }
    beside = {"page_uri": page_uri, "timings": latency.outputs["timings"]}
    tasks = [fetched, quality, latency]
    # No step may wait for one inside of a condition, so that the last step is in both branches.
    with dsl.If(registers == False):  # noqa: E712 - of a parameter of the pipeline
        tasks.append(write_verdict(registration={}, **facts, **beside))
    with dsl.Else():
        registered = register_model(
            model=model,
            registration=registration,
            test_data_uri=test_data_uri,
            label_column=label_column,
            **facts,
        )
        tasks.append(registered)
        tasks.append(write_verdict(registration=registered.outputs["Output"], **facts, **beside))
    for task in tasks:
        opens_addresses(task, credentials_secret)
