"""What is different between two versions: files by path and content, columns by name and type."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.data_versions.comparing import compare
from mooring_artifacts.data_versions.documents import Column, DataFile, Manifest


def version(files, columns=None):
    return Manifest(
        files=tuple(
            DataFile(path=path, sha256=content * 64, size=10 * int(content, 16), rows=int(content, 16))
            for path, content in files.items()
        ),
        columns=tuple(Column(name=name, type=kind) for name, kind in (columns or {"x": "Int64"}).items()),
    )


def told(found):
    return [(c.change, c.path, c.before and c.before.path) for c in found.files]


def test_files_are_added_removed_changed_and_renamed():
    before = version({"a": "1", "b": "2", "c": "3", "d": "4"})
    after = version({"a": "1", "b": "5", "e": "3", "f": "6"})
    found = compare(before, after)
    assert told(found) == [
        ("Changed", "b", "b"),
        ("Removed", "d", "d"),
        ("Renamed", "e", "c"),
        ("Added", "f", None),
    ]
    assert (found.rows, found.size) == (5, 50)


def test_one_of_two_files_of_one_content_is_renamed_and_the_other_removed():
    found = compare(version({"a": "1", "b": "1"}), version({"c": "1"}))
    assert sorted(change for change, _, _ in told(found)) == ["Removed", "Renamed"]


def test_columns_are_added_removed_and_of_another_type():
    before = version({"a": "1"}, {"x": "Int64", "y": "String", "z": "text"})
    after = version({"a": "1"}, {"z": "text", "x": "Float64", "w": "Date"})
    assert [(c.change, c.name, c.before, c.after) for c in compare(before, after).columns] == [
        ("TypeChanged", "x", "Int64", "Float64"),
        ("Added", "w", None, "Date"),
        ("Removed", "y", "String", None),
    ]


VERSIONS = st.builds(
    version, st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123456789"), min_size=1)
)


@given(VERSIONS, VERSIONS)
def test_a_difference_is_none_only_of_one_version_and_the_way_back_is_its_opposite(one, other):
    there, back = compare(one, other), compare(other, one)
    assert bool(there) == (one.version != other.version)
    assert (there.rows, there.size, len(there.files)) == (-back.rows, -back.size, len(back.files))
    assert not compare(one, one)
    assert there.rows == sum(
        (c.after.rows if c.after else 0) - (c.before.rows if c.before else 0) for c in there.files
    )
