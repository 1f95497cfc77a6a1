"""Files of models are looked through before they are loaded: the format decides, and all else is told."""

import bz2
import collections
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zipfile
import zlib

import joblib
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.scans import MOST_FINDINGS
from mooring_components.scanning.allowed import allowed_in
from mooring_components.scanning.archives import LARGEST_DIRECTORY, decompress
from mooring_components.scanning.looking import DEEPEST, Limits, Looker
from mooring_components.scanning.onnx_files import read_onnx
from mooring_components.scanning.pickles import Opcodes, is_early_pickle, read_pickle
from mooring_components.scanning.step import scan_model
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier


class Hostile:
    def __reduce__(self):
        return os.system, ("true",)


SYSTEM = f"{os.system.__module__}.system"
HOSTILE = pickle.dumps(Hostile())


def model_of(*nodes, location=None, functions=(), opsets=()):
    """An ONNX model of one input and one output."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    weights = onnx.numpy_helper.from_array(np.ones(2, np.float32), "w")
    if location is not None:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("length", "8")):
            entry = weights.external_data.add()
            entry.key, entry.value = key, value
    graph = helper.make_graph(nodes or [helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    known = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in opsets)]
    return helper.make_model(
        graph, opset_imports=known, functions=functions, ir_version=8
    ).SerializeToString()


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def tarred(**members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def array_of(*values):
    out = io.BytesIO()
    np.save(out, np.array(values, dtype=object), allow_pickle=True)
    return out.getvalue()


def joblibbed(value, **options):
    out = io.BytesIO()
    joblib.dump(value, out, **options)
    return out.getvalue()


def scan(folder, declared="onnx", elsewhere=False, allow=(), **files):
    """Scan a folder of these files; `__` in a name stands for a folder, and the last `_` for a dot."""
    for name, content in files.items():
        path = folder / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return scan_model(folder, "m", declared, allow, elsewhere=elsewhere)


def told(found):
    return [(one.kind, one.file, one.message) for one in found.findings]


def test_plain_files_of_a_model_have_nothing_to_tell(tmp_path, capsys):
    found = scan(
        tmp_path,
        model_onnx=model_of(),
        features_json=b'{"x": ["a", "b"]}',
        README_md=b"# Model\nclass of\nthings.\n",
        empty_txt=b"",
        weights_npy=array_of(1.0)[:6] + np.lib.format.magic(1, 0)[6:] + bytes(200),
    )
    assert (found.files, found.findings) == (5, [])
    assert capsys.readouterr().out == "scan: nothing found in 5 files\n"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_beside_a_model_is_refused_with_what_it_would_import(tmp_path, protocol):
    content = pickle.dumps({"a": [Hostile(), 3]}, protocol=protocol)
    with pytest.raises(InputError) as caught:
        scan(tmp_path, model_onnx=model_of(), sub__encoder_txt=content)
    assert str(caught.value) == (
        f"model 'm': sub/encoder.txt is a pickle, which runs code when it is loaded; it would import {SYSTEM}; "
        "format onnx allows none in its folder"
    )


@pytest.mark.parametrize(
    "content",
    [
        zipped(a__b=HOSTILE),
        zipped(inner=zipped(inner=HOSTILE)),
        tarred(a=b"x", b=HOSTILE),
        gzip.compress(HOSTILE),
        gzip.compress(tarred(b=HOSTILE)),
        zlib.compress(HOSTILE),
        bz2.compress(HOSTILE),
        lzma.compress(HOSTILE),
        lzma.compress(HOSTILE, format=lzma.FORMAT_ALONE),
        joblibbed({"a": np.zeros(9), "b": Hostile()}),
        joblibbed(Hostile(), compress=3),
        array_of(Hostile()),
        zipped(x_npy=array_of(1, Hostile())),
        zipped(archive__data_pkl=HOSTILE, archive__version=b"3"),
        pickle.dumps(1) + HOSTILE,
        pickle.dumps({"a": Hostile()}, protocol=0),
    ],
    ids=[
        *("zip", "zip in a zip", "tar", "gzip", "tar.gz", "zlib", "bzip2", "xz", "lzma", "joblib"),
        *("compressed joblib", "array of objects", "npz", "torch.save", "behind another", "protocol 0"),
    ],
)
def test_pickles_are_found_in_whatever_they_are_packed(tmp_path, content):
    with pytest.raises(InputError, match="format onnx allows none"):
        scan(tmp_path, model_onnx=model_of(), data_bin=content)
    found = scan(tmp_path, declared="sklearn", elsewhere=True)
    assert any(SYSTEM in message for kind, _, message in told(found) if kind == "pickle"), told(found)


def test_a_format_whose_server_loads_pickles_may_have_them_and_they_are_told(tmp_path):
    trees = RandomForestClassifier(3).fit(np.random.default_rng(1).random((40, 2)), np.arange(40) % 2)
    found = scan(tmp_path, declared="sklearn", elsewhere=True, model_joblib=joblibbed(trees))
    ((kind, file, message),) = told(found)
    assert (kind, file) == ("pickle", "model.joblib")
    assert "sklearn.ensemble._forest.RandomForestClassifier" in message
    assert found.in_words() == "1 finding in 1 file: pickle"
    with pytest.raises(InputError, match=r"is tested where it is served: spec\.ci\.target Endpoint"):
        scan(tmp_path, declared="sklearn")
    # Nobody knows what a server of one's own loads.
    assert scan(tmp_path, declared="house-format", elsewhere=True).count == 1
    assert scan(tmp_path, declared="").count == 1


def test_what_surprises_most_comes_first():
    content = pickle.dumps([np.arange(3), collections.OrderedDict(), RandomForestClassifier(), Hostile()])
    names = read_pickle(content, 0, Opcodes()).names
    assert names[:2] == (SYSTEM, "sklearn.ensemble._forest.RandomForestClassifier")


def test_names_by_memo_and_by_copies_on_the_stack_are_read():
    by_memo = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93."
    assert read_pickle(by_memo, 0, Opcodes()).names == ("os.system",)
    assert read_pickle(b"\x80\x04\x8c\x02os\x8c\x06system\x93.", 0, Opcodes()).names == ("os.system",)
    assert read_pickle(b"\x80\x04(K\x01K\x02t\x8c\x06system\x93.", 0, Opcodes()).names == ("?.system",)
    assert read_pickle(b"\x80\x02V\\u006fs\nX\x06\x00\x00\x00system\x93.", 0, Opcodes()).names == (
        "os.system",
    )
    assert read_pickle(b"\x80\x02\x82\x07.", 0, Opcodes()).names == ("copyreg.extension 7",)


def test_allowed_code_may_be_there_where_the_runtime_may_run_it(tmp_path):
    files = {"MLmodel": b"flavors: {python_function: {}}\n", "python_model_pkl": HOSTILE}
    (tmp_path / "MLmodel").write_bytes(files.pop("MLmodel"))
    with pytest.raises(InputError, match=r"python_model\.pkl is a pickle"):
        scan(tmp_path, declared="mlflow", **files)
    assert scan(tmp_path, declared="mlflow", allow=["pyfunc"]).kinds == ["pickle"]
    assert scan(tmp_path, declared="mlflow", elsewhere=True).kinds == ["pickle"]


def test_torchscript_is_its_loaders_to_refuse_and_told_where_it_may_run(tmp_path):
    script = zipped(
        **{"m/data.pkl": pickle.dumps(1), "m/constants.pkl": pickle.dumps(()), "m/code/x.py": b""}
    )
    found = scan(tmp_path, declared="pytorch", model_pt=script)
    assert told(found) == [("code", "model.pt", "is TorchScript, which runs code when it is loaded")]
    with pytest.raises(InputError, match=r"other\.bin is TorchScript"):
        scan(tmp_path, declared="pytorch", other_bin=script)
    assert scan(tmp_path, declared="pytorch", allow=["torchscript"]).count == 2


def test_the_pickle_of_values_in_an_exported_program_is_no_news(tmp_path):
    sample = zipped(**{"x/data.pkl": pickle.dumps(collections.OrderedDict(a=1)), "x/data/0": bytes(8)})
    members = {"m/archive_format": b"pt2", "m/data/weights/weight_0": b"\x80\x04" + bytes(99)}
    content = zipped(**members, **{"m/data/sample_inputs/model.pt": sample})
    assert scan(tmp_path, declared="pytorch", model_pt2=content).findings == []
    hostile = zipped(**members, **{"m/data/sample_inputs/model.pt": zipped(**{"x/data.pkl": HOSTILE})})
    found = scan(tmp_path, declared="pytorch", model_pt2=hostile)
    assert [one.file for one in found.findings] == ["model.pt2!m/data/sample_inputs/model.pt!x/data.pkl"]


def test_a_model_of_another_format_than_the_declared_is_refused(tmp_path):
    header = b'{"__metadata__":{}}'
    weights = len(header).to_bytes(8, "little") + header
    with pytest.raises(
        InputError, match=r"model\.pt is safetensors, and spec\.model\.format onnx is for onnx$"
    ):
        scan(tmp_path, model_pt=weights)
    assert scan(tmp_path, "pytorch").findings == []


@pytest.mark.parametrize(
    "location", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\x", "C:/x", "a\0b", "sub/../.."]
)
def test_weights_outside_of_the_folder_are_refused_whatever_the_format(tmp_path, location):
    for declared, elsewhere in (("onnx", False), ("", False), ("triton", True)):
        with pytest.raises(
            InputError, match=r"^model 'm': model\.onnx has its weights in .*, outside of the"
        ):
            scan(tmp_path, declared, elsewhere, model_onnx=model_of(location=location))


def test_weights_beside_the_model_are_no_news(tmp_path):
    found = scan(
        tmp_path,
        "triton",
        True,
        model_onnx=model_of(location="weights.bin"),
        weights_bin=bytes(8),
        sub__model_onnx=model_of(location="../weights.bin"),
    )
    assert found.findings == []
    with pytest.raises(InputError, match="outside"):
        scan(tmp_path, "triton", True, sub__model_onnx=model_of(location="../../weights.bin"))


def test_operators_of_nobodys_standard_are_told_but_not_those_that_the_model_defines(tmp_path):
    own = helper.make_function(
        "house",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    branch = helper.make_graph(
        [helper.make_node("Steal", ["x"], ["z"], domain="evil")],
        "b",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Twice", ["x"], ["a"], domain="house"),
        helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft"),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    content = model_of(*nodes, functions=[own], opsets=["house", "com.microsoft", "evil"])
    found = scan(tmp_path, model_onnx=content)
    assert told(found) == [
        ("custom-operators", "model.onnx", "uses operators that are none of the standard: evil")
    ]


@pytest.mark.parametrize("name", ["model_h5", "model_keras"])
def test_lambda_layers_of_keras_are_refused_where_no_keras_is(tmp_path, name):
    config = b'{"layers": [{"class_name": "Lambda", "config": {"function": ["4wEAAAA"]}}]}'
    content = b"\x89HDF\r\n\x1a\n" + config if name == "model_h5" else zipped(**{"config.json": config})
    with pytest.raises(InputError, match=r"holds a Lambda layer of Keras, .*; format xgboost allows none"):
        scan(tmp_path, "xgboost", True, **{name: content})
    assert scan(tmp_path, "tensorflow", True).kinds == ["code"]


def test_programs_are_refused_where_no_server_loads_them(tmp_path):
    with pytest.raises(InputError, match=r"op\.so is a program or a library of machine code; format onnx"):
        scan(tmp_path, model_onnx=model_of(), op_so=b"\x7fELF\x02\x01\x01" + bytes(60))
    assert scan(tmp_path, "triton", True).kinds == ["code"]


def test_links_and_paths_out_of_an_archive_are_told(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../out"))
    linked = zipfile.ZipInfo("l")
    linked.external_attr = 0o120777 << 16
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr(linked, "/etc/passwd")
        archive.writestr("/abs", "x")
    found = scan(tmp_path, model_onnx=model_of(), a_tar=out.getvalue(), b_zip=archived.getvalue())
    assert told(found) == [
        ("archive", "a.tar!link", "is a link"),
        ("archive", "a.tar!../out", "leads out of its archive"),
        ("archive", "b.zip!l", "is a link"),
        ("archive", "b.zip!/abs", "leads out of its archive"),
    ]


def test_links_in_a_local_folder_are_not_followed(tmp_path):
    (tmp_path / "other").write_bytes(HOSTILE)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to(tmp_path / "other")
    assert scan(tmp_path / "model", model_onnx=model_of()).files == 1


def test_what_is_packed_deeper_than_is_looked_at_is_told(tmp_path):
    content = HOSTILE
    for _ in range(DEEPEST + 1):
        content = zipped(inner=content)
    ((kind, file, message),) = told(scan(tmp_path, model_onnx=model_of(), deep_zip=content))
    assert (kind, message) == ("archive", f"is packed more than {DEEPEST} times")
    assert file == "deep.zip" + "!inner" * (DEEPEST + 1)


def test_bombs_cost_no_more_than_is_looked_at(tmp_path):
    path = tmp_path / "bomb"
    bomb = gzip.compress(bytes(8 << 20))
    path.write_bytes(zipped(**{f"m{number}": bomb for number in range(9)}))
    looker = Looker(allowed_in("onnx", (), elsewhere=False), limits=Limits(unpacked=20 << 20, members=1000))
    looker.look(path, "bomb")
    assert looker.scan().kinds == ["unread"]
    assert len(decompress(bomb, 1000)) == 1000
    assert len(decompress(bz2.compress(bytes(1 << 20)), 1000)) == 1000
    assert len(decompress(lzma.compress(bytes(1 << 20)), 1000)) == 1000


def test_an_archive_of_too_many_members_is_looked_at_in_part(tmp_path):
    path = tmp_path / "many"
    path.write_bytes(zipped(**{f"m{number}": b"x" for number in range(30)}))
    looker = Looker(allowed_in("onnx", (), elsewhere=False), limits=Limits(members=10))
    looker.look(path, "many")
    assert told(looker.scan()) == [("unread", "many", "holds more than is looked at")]


def test_a_directory_that_is_too_large_is_not_held(tmp_path):
    content = bytearray(zipped(a=b"x"))
    content[-10:-6] = (LARGEST_DIRECTORY + 1).to_bytes(4, "little")
    ((kind, _, message),) = told(scan(tmp_path, model_onnx=model_of(), big_zip=bytes(content)))
    assert kind == "archive"
    assert message.startswith("its directory has ")


def test_damaged_and_locked_archives_are_told(tmp_path):
    whole = zipped(a=b"some text" * 99)
    locked = bytearray(whole)
    locked[6] |= 1
    locked[whole.rindex(b"PK\x01\x02") + 8] |= 1
    torn = bytearray(whole)
    torn[40] ^= 255
    found = scan(
        tmp_path, model_onnx=model_of(), cut_zip=whole[:60], locked_zip=bytes(locked), torn_zip=bytes(torn)
    )
    assert [(kind, file) for kind, file, _ in told(found)] == [
        ("archive", "cut.zip"),
        ("unread", "locked.zip!a"),
        ("unread", "torn.zip!a"),
    ]


def test_findings_beyond_the_limit_are_counted(tmp_path):
    content = zipped(**{f"../{number}": b"x" for number in range(MOST_FINDINGS + 5)})
    found = scan(tmp_path, model_onnx=model_of(), a_zip=content)
    assert (len(found.findings), found.left_out, found.count) == (MOST_FINDINGS, 5, MOST_FINDINGS + 5)


def test_names_of_files_are_written_so_that_nothing_else_reads_them_as_its_own(tmp_path):
    name = "{{$.inputs}}\n\x1b[31m\U0001f642.zip"
    (tmp_path / name).write_bytes(zipped(**{"/x": b""}))
    (finding,) = scan(tmp_path, model_onnx=model_of()).findings
    assert finding.file == "{ {$.inputs}} \\u001b[31m\\U0001f642.zip!/x"


def test_raw_weights_that_begin_as_a_pickle_does_are_none(tmp_path):
    weights = b"\x80\x04" + np.random.default_rng(3).random(500).astype(np.float32).tobytes()
    assert scan(tmp_path, model_onnx=model_of(), weights_bin=weights).findings == []


def test_opcodes_are_read_up_to_a_number_and_the_rest_is_searched():
    content = b"\x80\x04" + b"NNN0" * 1000 + HOSTILE[2:]
    opcodes = Opcodes(left=100)
    found = read_pickle(content, 0, opcodes)
    assert (opcodes.left, found.complete) == (0, False)
    assert SYSTEM in found.names


def test_a_text_that_only_looks_like_a_pickle_is_none():
    for text in (b"comment\nhere\n", b"(1, 2)\n.", b"import os\nsystem\n.", b"class\nname\nR.", b"."):
        assert not is_early_pickle(text, Opcodes()), text
    assert is_early_pickle(b"cos\nsystem\n(S'true'\ntR.", Opcodes())


TOKENS = st.sampled_from(
    [
        *(
            b"\x80\x04",
            b"cos\nsystem\n",
            b"\x8c\x02os",
            b"\x93",
            b"\x94",
            b"h\x00",
            b"(",
            b"t",
            b"R",
            b".",
            b"2",
        ),
        *(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\xff", b"p99999999999\n", b"PK\x03\x04"),
    ]
)


@given(st.one_of(st.binary(max_size=400), st.lists(TOKENS, max_size=30).map(b"".join)))
def test_any_bytes_are_read_as_a_pickle_or_not(content):
    opcodes = Opcodes(left=1000)
    found = read_pickle(content, 0, opcodes)
    assert len(found.names) <= len(content)
    assert opcodes.left >= 0
    is_early_pickle(content, Opcodes(left=1000))


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.tuples(st.integers(0, 40), st.binary(max_size=30)).map(
            lambda one: bytes([one[0] << 3 & 0x7F | 2, len(one[1])]) + one[1]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [np.float32, np.float16, np.float64, np.int8, np.uint8, np.int64, np.int32, np.bool_]
            ),
            st.lists(st.integers(0, 40), max_size=4),
        ),
        max_size=5,
    )
)
def test_weights_of_onnx_are_counted_without_shapes_and_indices(tensors):
    arrays = [np.zeros(shape, dtype) for dtype, shape in tensors if np.prod(shape) < 100_000]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    stored = [onnx.numpy_helper.from_array(array, f"w{place}") for place, array in enumerate(arrays)]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [x], stored)
    found = read_onnx(helper.make_model(graph).SerializeToString())
    assert found.complete
    weights = [array for array in arrays if array.dtype.kind == "f" or array.dtype in (np.int8, np.uint8)]
    assert found.weights == sum(array.size for array in weights)


def test_sizes_beyond_all_memory_are_no_message():
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    huge = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**62] * 1000)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [x], [huge])
    assert not read_onnx(helper.make_model(graph).SerializeToString()).complete


@given(PIECES)
def test_any_bytes_are_read_as_onnx_or_not(content):
    found = read_onnx(b"\x08\x08" + content)
    assert all(isinstance(one, str) for one in found.locations | found.domains)


def test_graphs_in_graphs_are_read_down_to_a_depth():
    graph = b""
    for depth in range(200):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # a graph in an attribute of a node of a graph
            graph = tag + _varint(len(graph)) + graph
        found = read_onnx(b"\x3a" + _varint(len(graph)) + graph)
        assert found.complete == (depth < 7)


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@given(
    st.sampled_from(
        [
            b"PK\x03\x04",
            b"\x1f\x8b\x08\x00",
            b"\x93NUMPY\x01\x00",
            b"\x78\x9c",
            b"BZh9",
            bytes(257) + b"ustar",
        ]
    ),
    st.binary(max_size=600),
)
def test_any_bytes_behind_any_beginning_are_looked_at(tmp_path_factory, head, rest):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(head + rest)
    looker = Looker(allowed_in("", (), elsewhere=False))
    looker.look(path, "file")
    assert looker.scan().files == 1


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_any_change_of_an_archive_is_looked_at(tmp_path_factory, place, change):
    content = bytearray(zipped(a=HOSTILE, b=zipped(c=array_of(1)), d=gzip.compress(b"x" * 99)))
    place %= len(content)
    content[place : place + len(change)] = change
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(bytes(content))
    looker = Looker(allowed_in("", (), elsewhere=False))
    looker.look(path, "file")
    assert looker.scan().files == 1
