"""What Kubeflow Pipelines says of a run becomes one sentence, which names the step."""

import kfp_server_api as kfp
import pytest
from mooring_operator.adapters.pipelines.kfp_words import message_of


def run(*tasks, state="FAILED", error=None):
    details = [
        kfp.V2beta1PipelineTaskDetail(
            display_name=name, state=task_state, error=kfp.GoogleRpcStatus(message=why) if why else None
        )
        for name, task_state, why in tasks
    ]
    return kfp.V2beta1Run(
        state=state,
        error=kfp.GoogleRpcStatus(message=error) if error else None,
        run_details=kfp.V2beta1RunDetails(task_details=details),
    )


@pytest.mark.parametrize(
    ("found", "phase", "said"),
    [
        (run(error="no such pipeline"), "Failed", "no such pipeline"),
        (
            run(
                ("root", "FAILED", ""), ("fetch-model-driver", "SUCCEEDED", ""), ("fetch-model", "FAILED", "")
            ),
            "Failed",
            "fetch-model: it left no reason, so it was killed, for memory perhaps, or never started",
        ),
        (run(("fetch-model", "FAILED", "OOMKilled (exit code 137)")), "Failed", "fetch-model: OOMKilled"),
        (run(("root", "FAILED", "deadline exceeded")), "Failed", "root: deadline exceeded"),
        (run(), "Failed", "the run failed; KFP does not say why, its page does"),
        (run(), "Canceled", "the run canceled; KFP"),
        (
            run(
                ("root", "RUNNING", ""), ("fetch-model", "SUCCEEDED", ""), ("evaluate-quality", "RUNNING", "")
            ),
            "Running",
            "step evaluate-quality is under way",
        ),
        (run(("executor", "RUNNING", "")), "Running", ""),
        (run(state="CANCELING"), "Running", "being terminated"),
        (run(("root", "SUCCEEDED", "")), "Succeeded", ""),
        (kfp.V2beta1Run(state="PENDING"), "Pending", ""),
    ],
)
def test_a_run_says_where_it_is_or_why_it_failed(found, phase, said):
    message = message_of(found, phase)
    assert message.startswith(said)
    assert bool(message) == bool(said)
