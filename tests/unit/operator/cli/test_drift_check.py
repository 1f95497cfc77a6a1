"""`mooring drift check` compares any two files: one line, an exit code, JSON, a page."""

import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.unit.cli_world import DRIFT, FakeCluster, invoke

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def rows(seed, count, moved=False):
    rng = np.random.default_rng(seed)
    weights = [0.6, 0.3, 0.1] if moved else [0.4, 0.3, 0.3]
    return pa.table(
        {
            "age": rng.normal(40, 10, count),
            "income": rng.lognormal(10, 1, count) * (2 if moved else 1),
            "country": rng.choice(["de", "fr", "it"], count, p=weights),
        }
    )


def write(table, path):
    match path.suffix:
        case ".parquet":
            pq.write_table(table, path)
        case ".csv":
            pyarrow.csv.write_csv(table, path)
        case ".jsonl" | ".ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        case ".arrow":
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table)
        case ".ipc":
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table)
    return str(path)


@pytest.fixture
def check(capsys, tmp_path):
    baseline = write(rows(0, 5000), tmp_path / "a.parquet")

    def run_command(window, *arguments):
        return invoke(capsys, "drift", "check", "--baseline", baseline, "--window", window, *arguments)

    return run_command


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".ndjson", ".arrow", ".ipc"])
def test_files_of_every_kind_are_compared(check, tmp_path, suffix):
    quiet = write(rows(1, 1000), tmp_path / f"quiet{suffix}")
    moved = write(rows(2, 1000, moved=True), tmp_path / f"moved{suffix}")
    assert check(quiet) == (0, "no drift in 3 features; 1000 rows against 5000\n", "")
    code, out, err = check(moved)
    assert (code, err) == (1, "")
    assert out == "2 of 3 features drifted: income, country; 1000 rows against 5000\n"


def test_json_has_every_feature(check, tmp_path):
    code, out, _ = check(write(rows(2, 1000, moved=True), tmp_path / "b.csv"), "-o", "json")
    found = json.loads(out)
    assert (code, found["verdict"], found["driftedFeatures"]) == (1, "Drift", ["income", "country"])
    assert {feature["name"]: feature["drifted"] for feature in found["features"]} == {
        "income": True,
        "country": True,
        "age": False,
    }
    assert all(feature["reason"] for feature in found["features"] if feature["drifted"])
    assert found["window"]["rows"] == 1000


@pytest.mark.parametrize(
    ("name", "content", "arguments", "said"),
    [
        ("none.parquet", None, [], "--window '{path}': there is no such file"),
        ("b.xlsx", b"", [], "its name ends with none of .parquet, .csv"),
        ("b.parquet", b"PAR1 nonsense", [], "--window '{path}': it cannot be read"),
        ("b.arrow", b"nonsense", [], "--window '{path}': it cannot be read"),
        ("b.jsonl", b"{]", [], "--window '{path}': it cannot be read"),
        ("b.csv", b"a,a\n1,2\n", [], "it has column 'a' twice"),
        ("b.csv", b"age\n1\n", [], "the window has 1 rows; --min-rows wants 100"),
        ("b.csv", b"age\n" + b"1\n" * 200, ["--feature", "size"], "--feature: 'size' is no column"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line_with_code_2(
    check, tmp_path, name, content, arguments, said
):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, out, err = check(str(path), *arguments)
    assert (code, out) == (2, "")
    assert said.format(path=path) in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_columns_that_cannot_be_compared_are_no_answer(check, tmp_path):
    code, out, _ = check(write(pa.table({"other": np.zeros(200)}), tmp_path / "b.parquet"))
    assert code == 2
    assert out.startswith("cannot tell: no column could be compared; ")
    assert "age (Vanished)" in out


def test_long_names_and_rates_of_nothing(check, tmp_path):
    name = "x" * 3000
    window = write(pa.table({"age": np.full(200, 90.0), name: np.zeros(200)}), tmp_path / "b.parquet")
    code, out, _ = check(window)
    assert code == 1
    assert len(out) < 300
    assert check(window, "--alpha", "0")[0] == 2


def test_categories_and_features_may_be_named(check, tmp_path, capsys):
    rng = np.random.default_rng(3)
    paths = [
        write(pa.table({"zip": rng.integers(10_000, 10_050, 2000), "x": rng.random(2000)}), tmp_path / name)
        for name in ("c.parquet", "d.parquet")
    ]
    arguments = ["drift", "check", "--baseline", paths[0], "--window", paths[1], "-o", "json"]
    _, out, _ = invoke(capsys, *arguments, "--category", "zip", "--feature", "zip")
    assert [(f["name"], f["kind"]) for f in json.loads(out)["features"]] == [("zip", "category")]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_dictionary_of_integers_holds_categories(capsys, tmp_path, suffix):
    """As pandas' category of integers is written: the codes' numbers mean nothing, their frequencies do."""
    rng = np.random.default_rng(3)
    paths = []
    for name, weights in (("c", [0.2] * 5), ("d", [0.1, 0.3, 0.2, 0.3, 0.1])):
        codes = pa.array(rng.choice([70, 10, 40, 20, 90], 2000, p=weights)).dictionary_encode()
        paths.append(write(pa.table({"zip": codes, "x": rng.random(2000)}), tmp_path / f"{name}{suffix}"))
    code, out, _ = invoke(
        capsys, "drift", "check", "--baseline", paths[0], "--window", paths[1], "-o", "json"
    )
    found = {feature["name"]: feature for feature in json.loads(out)["features"]}
    assert (code, found["zip"]["kind"], found["zip"]["hint"]) == (1, "category", "")
    assert (found["x"]["kind"], found["x"]["drifted"]) == ("number", False)


class Page(HTMLParser):
    """What a browser would fetch or run, and the elements."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_needs_nothing_else_and_runs_nothing(capsys, tmp_path):
    def table(seed, moved):
        values = np.random.default_rng(seed).normal(1.0 if moved else 0.0, 1, 500)
        return pa.table(
            {
                HOSTILE: values,
                "text": np.where(values > 1, HOSTILE, "b"),
                "gaps": pa.array([None if moved and v > 1 else v for v in values], pa.float64()),
            }
        )

    paths = [write(table(seed, seed == 1), tmp_path / f"{seed}.parquet") for seed in (0, 1)]
    report = tmp_path / "report.html"
    arguments = ["--baseline", paths[0], "--window", paths[1], "--report", str(report)]
    code, out, _ = invoke(capsys, "drift", "check", *arguments)
    content = report.read_text()
    page = Page()
    page.feed(content)
    assert code == 1
    assert page.addresses == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 3
    assert "\x1b" not in content + out
    assert "3 of 3 features drifted" in content
    assert "<h2>Missing data</h2>" in content


def test_a_page_of_500_features_draws_those_that_matter(capsys, tmp_path):
    rng = np.random.default_rng(4)
    paths = []
    for moved in (0, 1):
        table = pa.table({f"f{n:03}": rng.standard_normal(300) + moved * (n < 40) for n in range(500)})
        paths.append(write(table, tmp_path / f"{moved}.parquet"))
    report = tmp_path / "report.html"
    invoke(capsys, "drift", "check", "--baseline", paths[0], "--window", paths[1], "--report", str(report))
    content = report.read_text()
    assert content.count("<svg") == 24
    assert "and 16 more in the table below" in content
    assert "500 compared" in content
    assert len(content) < 1 << 20


def test_a_report_that_cannot_be_written_is_said(check, tmp_path):
    window = write(rows(1, 1000), tmp_path / "b.parquet")
    code, _, err = check(window, "--report", str(tmp_path / "none" / "report.html"))
    assert (code, err.count("\n")) == (2, 1)
    assert "--report" in err
    assert "No such file or directory" in err


def test_the_components_that_compare_may_be_missing(check, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "mooring_components.drift.check", None)
    code, _, err = check(write(rows(1, 1000), tmp_path / "b.parquet"))
    assert code == 2
    assert "extras cli and components" in err


@pytest.mark.parametrize(
    "arguments", [["iris-traffic"], ["show", "iris-traffic"], ["-n", "ml", "iris-traffic"]]
)
def test_a_monitor_is_shown_with_and_without_the_word(capsys, monkeypatch, arguments):
    monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: FakeCluster(DRIFT))
    code, out, _ = invoke(capsys, "drift", *arguments)
    assert code == 0
    assert out.startswith("DriftMonitor ml/iris-traffic")


def test_settings_decide_how_columns_are_compared(check, tmp_path):
    moved = write(rows(2, 1000, moved=True), tmp_path / "b.parquet")
    code, out, _ = check(moved, "--setting", "inc*=Ignored", "--setting", "country=0.5")
    assert (code, out) == (0, "no drift in 2 features; 1000 rows against 5000\n")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("zip*=Category", "--setting[0].match: 'zip*' fits no column; there are age, income, country"),
        ("country=Number", "'country' is string in the baseline, which cannot be compared as Number"),
        ("age=Old", "'Old' of 'age=Old' is not allowed"),
    ],
)
def test_settings_that_cannot_hold_are_refused(check, tmp_path, setting, says):
    code, _, err = check(write(rows(1, 1000), tmp_path / "b.parquet"), "--setting", setting)
    assert (code, says in " ".join(err.split())) == (2, True)


def test_slices_are_compared_by_themselves_and_told(check, tmp_path):
    quiet, moved = rows(1, 2000), rows(2, 2000)
    german = np.array(moved["country"].to_pylist()) == "de"
    moved = moved.set_column(0, "age", pa.array(moved["age"].to_numpy() + 6 * german))
    both = ["--slice", "country=de", "--slice", "country=it,fr"]
    assert check(write(quiet, tmp_path / "q.csv"), *both)[0] == 0
    page = tmp_path / "page.html"
    path = write(moved, tmp_path / "m.csv")
    code, out, _ = check(path, *both, "--feature", "age", "--report", str(page), "-o", "json")
    found = json.loads(out)
    assert (code, found["driftedFeatures"]) == (1, ["age"])
    assert [(one["name"], one["driftedFeatures"]) for one in found["slices"]] == [
        ("country=de", ["age"]),
        ("country=it,fr", []),
    ]
    assert ("age", "country=de") in {(e["name"], e["slice"]) for e in found["features"] if e["drifted"]}
    assert "age in slice country=de" in page.read_text()
    few = check(path, "--slice", "country=lu")
    assert few[1].endswith("; slices not compared: country=lu\n")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--slice", "country"], "'country' is not allowed: write COLUMN=VALUE"),
        (["--slice", "a=1", "--slice", "a=1"], "'a=1' is the name of slices[0], too"),
        (["--slice", "land=de"], "--slice[0].column: 'land' is no column of the baseline"),
        (["--slice", "age=old"], "--slice[0].values[0]: 'old' is not allowed: 'age' is double"),
        (["--slice", "country=de,fr,it"], "is every row of the baseline and of the window"),
    ],
)
def test_a_mistake_in_a_slice_is_said_with_code_2(check, tmp_path, asked, said):
    code, out, err = check(write(rows(1, 300), tmp_path / "b.parquet"), *asked)
    assert (code, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())
