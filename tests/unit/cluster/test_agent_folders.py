"""Where the serving agent copies models to: below its scratch folder, whatever a predictor is called."""

import pytest

from cluster.serving.agent import Agent
from cluster.serving.directory import Directory
from cluster.serving.predictors import deployment_name, make_deployment
from cluster.serving.replica import Runtime


@pytest.mark.parametrize("predictor", ["rabc", "x/../../../../../evil", "/evil", "..", "a\nb"])
async def test_copies_of_models_stay_in_the_scratch_folder(tmp_path, predictor):
    scratch = tmp_path / "scratch"
    agent = Agent(None, Runtime(roots=[tmp_path], scratch=scratch), Directory("example"), "http://front")
    deployment = make_deployment(deployment_name("digits", predictor), {"model": {}}, 1)
    replicas = [agent._start(("team-a", "digits"), deployment) for _ in range(2)]
    folders = [replica._folder.resolve() for replica in replicas]
    for replica in replicas:
        await replica.stop()
    assert folders[0] != folders[1]
    assert all(folder.parent == scratch / "team-a" / "digits" for folder in folders)
