"""PyTorch models become ONNX that gives the same, or nothing is written and it is said where they differ."""

import json

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_artifacts.errors import InputError
from mooring_components import converting
from mooring_components.converting import difference_of

from tests.unit.cli_world import invoke

FLOATS = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4)))


@given(FLOATS, st.floats(0, 1))
def test_an_array_differs_nowhere_from_itself(array, tolerance):
    found = difference_of("y", 2, array, array.copy(), tolerance)
    assert (found.difference, found.holds) == (0, True)


@given(FLOATS, st.data())
def test_what_differs_most_is_found_where_it_is(array, data):
    array = np.nan_to_num(np.clip(array, -9, 9))
    place = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    other = array.copy()
    other[place] += data.draw(st.sampled_from([1.0, -2.0, np.nan, np.inf]))
    found = difference_of("y", 2, array, other, 1e-4)
    assert (found.position, found.holds, found.before) == (place, False, array[place])
    apart = abs(array[place] - other[place])
    assert found.difference == (pytest.approx(apart) if np.isfinite(apart) else np.inf)


def test_a_difference_is_allowed_by_the_size_of_what_differs():
    old, new = np.array([[1000.0, 0.0]], "f4"), np.array([[1000.05, 0.00005]], "f4")
    assert difference_of("y", 1, old, new, 1e-4).holds
    # The small one fails, though the other differs by more.
    new[0, 1] = 0.01
    found = difference_of("y", 1, old, new, 1e-4)
    assert (found.holds, found.position) == (False, (0, 1))


def test_labels_are_the_same_or_not():
    old = np.array([3, 4], "i8")
    assert difference_of("y", 2, old, old, 0.5).holds
    assert not difference_of("y", 2, old, np.array([3, 5]), 0.9).holds


def test_where_pytorch_is_not_installed_that_is_one_line(tmp_path, capsys):
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        code, out, err = invoke(capsys, "ci", "convert", str(tmp_path), "--out", str(tmp_path / "out"))
        assert (code, out) == (2, "")
        assert err.splitlines()[0].startswith(
            "error: converting models needs a package that is not installed: "
        )
        assert err.splitlines()[1:] == ["hint: install kube-mooring with its extras components and convert"]
    else:
        pytest.skip("it is installed")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("none.pt2", "MODEL 'file://{}/none.pt2' does not exist"),
        ("rows.csv", "model 'file://{}/rows.csv': no model in its folder: expected one file of ONNX, "),
        ("empty", "MODEL 'file://{}/empty' holds no files"),
        ("torn.pt2", "model 'file://{}/torn.pt2': torn.pt2 is a damaged zip archive: "),
    ],
)
def test_what_is_no_model_is_told_without_where_it_was_copied_to(torch, tmp_path, capsys, model, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.csv").write_text("x\n1\n")
    (tmp_path / "torn.pt2").write_bytes(b"PK\x03\x04 torn")
    code, out, err = invoke(capsys, "ci", "convert", str(tmp_path / model), "--out", str(tmp_path / "onnx"))
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"error: {says.format(tmp_path)}")


def test_a_file_is_no_folder_for_what_is_written(torch, tmp_path, capsys):
    (tmp_path / "taken").write_text("kept")
    code, _, err = invoke(
        capsys, "ci", "convert", str(tmp_path / "none.pt2"), "--out", str(tmp_path / "taken")
    )
    assert (code, err) == (2, f"error: --out {tmp_path / 'taken'} is a file: name a folder\n")


@pytest.fixture
def torch():
    pytest.importorskip("onnxscript", reason="the extra convert is not installed: make test-torch has it")
    return pytest.importorskip("torch")


@pytest.fixture
def net(torch):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.last = torch.nn.Linear(4, 3)

        def forward(self, x, ids):
            y = self.last(x) + ids.unsqueeze(-1)
            return {"scores": torch.softmax(y, -1), "label": y.argmax(-1)}

    return Net().eval()


@pytest.fixture
def exported(torch, net, tmp_path):
    dynamic = {0: torch.export.Dim.DYNAMIC}

    def export(model=net, args=None, shapes=(dynamic, dynamic)):
        args = args or (torch.zeros(2, 4), torch.zeros(2).long())
        (tmp_path / "model").mkdir()
        torch.export.save(
            torch.export.export(model, args, dynamic_shapes=shapes), tmp_path / "model" / "m.pt2"
        )
        return tmp_path / "model"

    return export


def test_an_exported_program_is_written_with_its_names(exported, tmp_path, capsys, torch, net):
    folder, out = exported(), tmp_path / "onnx"
    (folder / "features.json").write_text(json.dumps({"x": ["a", "b", "c", "d"]}))
    code, said, err = invoke(capsys, "ci", "convert", str(folder), "--out", str(out), "-o", "json")
    assert (code, err) == (0, "")
    found = json.loads(said)
    assert (found["format"], found["holds"]) == ("exported", True)
    assert {each["output"]: each["difference"] < 1e-6 for each in found["differences"]} == {
        "scores": True,
        "label": True,
    }
    assert {path.name for path in out.iterdir()} == {"model.onnx", "features.json"}
    session = onnxruntime.InferenceSession(out / "model.onnx")
    assert {each.name for each in session.get_inputs()} == {"x", "ids"}
    x = np.random.default_rng(1).normal(size=(5, 4)).astype("f4")
    (scores,) = session.run(["scores"], {"x": x, "ids": np.arange(5)})
    wanted = net(torch.from_numpy(x), torch.arange(5))["scores"].detach().numpy()
    np.testing.assert_allclose(scores, wanted, atol=1e-6)
    code, _, err = invoke(capsys, "ci", "convert", str(folder), "--out", str(out))
    assert (code, "model.onnx exists: remove it" in err) == (2, True)


def test_torchscript_is_written_where_it_may_run(torch, tmp_path, capsys):
    class Branching(torch.nn.Module):
        def forward(self, x, scale: int):
            if x.sum() > 0:
                return x * scale
            return x - 1

    folder = tmp_path / "model"
    folder.mkdir()
    torch.jit.script(Branching()).save(str(folder / "m.pt"))
    spec = [
        {"name": "x", "datatype": "FP32", "shape": [-1, -1]},
        {"name": "scale", "datatype": "INT64", "shape": []},
    ]
    declared = {"inputs": spec, "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, -1]}]}
    (folder / "signature.json").write_text(json.dumps(declared))
    command = ("ci", "convert", str(folder), "--out", str(tmp_path / "onnx"))
    code, _, err = invoke(capsys, *command)
    assert (code, err.splitlines()[0].rpartition(": ")[2]) == (
        2,
        "export it with torch.export, or give --allow-torchscript",
    )
    code, out, _ = invoke(capsys, *command, "--allow-torchscript")
    assert (code, out.splitlines()[1].split()[0]) == (0, "y")
    session = onnxruntime.InferenceSession(tmp_path / "onnx/model.onnx")
    for x in (np.ones((3, 2), "f4"), -np.ones((1, 5), "f4")):
        (y,) = session.run(["y"], {"x": x, "scale": np.array(3)})
        np.testing.assert_allclose(y, x * 3 if x.sum() > 0 else x - 1)


def test_a_model_that_is_another_as_onnx_is_not_written(exported, tmp_path, capsys, monkeypatch, torch):
    real = torch.onnx.export

    def export(program, *arguments, **options):
        with torch.no_grad():
            program.state_dict["last.weight"] += torch.eye(3, 4)
        return real(program, *arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", export)
    code, out, _ = invoke(capsys, "ci", "convert", str(exported()), "--out", str(tmp_path / "onnx"))
    assert (code, out.splitlines()[-1]) == (
        1,
        "not written: differing by more than the tolerance: scores, label",
    )
    assert not (tmp_path / "onnx").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "m.onnx",
            b"\x08\x08\x12\x00",
            "m.onnx is onnx; exported programs (.pt2) and TorchScript are converted",
        ),
        ("m.pt2", b"PK\x03\x04", "m.pt2 is a damaged zip archive"),
        ("m.pt", b"\x80\x04.", "m.pt is a pickle, which runs code when it is loaded"),
        ("notes.txt", b"what is what", "no model in"),
    ],
)
def test_what_cannot_be_converted_is_one_line(torch, tmp_path, capsys, name, content, says):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).write_bytes(content)
    code, out, err = invoke(capsys, "ci", "convert", str(tmp_path / "model"), "--out", str(tmp_path / "onnx"))
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err


def test_an_operator_that_onnx_lacks_is_one_line(exported, torch, tmp_path, capsys):
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x)

    folder = exported(Odd(), (torch.zeros(2, 4),), ({0: torch.export.Dim.DYNAMIC},))
    code, _, err = invoke(capsys, "ci", "convert", str(folder), "--out", str(tmp_path / "onnx"))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "m.pt2 cannot be written as ONNX: " in err


def test_the_tolerance_of_the_command_is_that_of_the_component():
    from inspect import signature

    from mooring_operator.cli.commands.convert import convert

    assert signature(convert).parameters["tolerance"].default == converting.TOLERANCE


def test_a_trained_model_is_written_as_onnx_with_what_lies_beside_it(exported, torch, tmp_path):
    folder, target = exported(), tmp_path / "store" / "run-onnx"
    (folder / "docs").mkdir()
    for name in ("README.md", "docs/review.md", "features.json", "signature.json", "model.sig", "old.pt"):
        (folder / name).write_text("{}")
    (folder / "old.pt").unlink()
    (folder / "signature.json").unlink()
    found = converting.convert_to(folder.as_uri(), target.as_uri())
    assert found.holds
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == {
        "model.onnx", "README.md", "docs/review.md", "features.json"}  # fmt: skip
    # Asked again, as after a crash, it is the same.
    converting.convert_to(folder.as_uri(), target.as_uri())


def test_a_trained_model_that_is_another_as_onnx_is_told_and_not_written(
    exported, torch, tmp_path, monkeypatch
):
    real = torch.onnx.export

    def export(program, *arguments, **options):
        with torch.no_grad():
            program.state_dict["last.weight"] += torch.eye(3, 4)
        return real(program, *arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(
        InputError, match=r"as ONNX output 'scores' of the model differs by .* nothing is written"
    ):
        converting.convert_to(exported().as_uri(), (tmp_path / "store").as_uri())
    assert not (tmp_path / "store").exists()


def test_where_the_image_lacks_pytorch_a_run_says_which_one_has_it(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(converting, "convert", missing)
    with pytest.raises(InputError, match="needs torch, which is not in this image: MOORING_COMPONENTS_IMAGE"):
        converting.convert_to(tmp_path.as_uri(), (tmp_path / "out").as_uri())
    with pytest.raises(InputError, match=r"converted_uri .* is not allowed"):
        converting.convert_to(tmp_path.as_uri(), "s3://b/../c")
