"""What is loaded is what was tested, and is not read more often than that takes."""

import pytest
from mooring_artifacts.loaded_files import hash_loaded
from mooring_inference.backends import loading
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.errors import ModelLoadError

from tests.unit.inference.score_models import several_inputs, sum_and_negative


def test_a_folder_of_models_is_hashed_once_for_all_of_them_and_again_when_somebody_wrote_there(
    tmp_path, monkeypatch
):
    names = "abc"
    for name in names:
        sum_and_negative(tmp_path / name)
    options = LoadOptions(device="cpu", digest=hash_loaded(tmp_path).digest, digest_of=tmp_path)
    hashed = []
    check = loading.check_loaded
    monkeypatch.setattr(loading, "check_loaded", lambda *given: hashed.append(given) or check(*given))

    def load_all():
        for name in names:
            load_model(tmp_path / name, options).close()

    load_all()
    assert len(hashed) == 1
    sum_and_negative(tmp_path / "b")
    load_all()
    assert len(hashed) == 2
    (tmp_path / "c" / "more.txt").write_text("new")
    for _ in range(2):
        with pytest.raises(ModelLoadError, match="it is not the model that was tested"):
            load_all()
    (tmp_path / "c" / "more.txt").unlink()
    several_inputs(tmp_path / "c")
    with pytest.raises(ModelLoadError, match="it is not the model that was tested"):
        load_model(tmp_path / "a", options)
