"""Lists of images: each form gives the same images, and what is not understood is refused with a look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import RECIPE, data_set, run_command, said, segad
from PIL import Image
from pydantic import ValidationError

from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError, SegadError
from segad_core.testing import DatasetSuite
from segad_plugins.datasets.table import Table

ROWS = [
    {
        "path": "a/1.png",
        "label": "good",
        "defect": "",
        "serial": "S1",
        "view": "A",
        "lot": "7",
        "split": "train",
    },
    {
        "path": "a/2.png",
        "label": "ok",
        "defect": "none",
        "serial": "S1",
        "view": "B",
        "lot": "7",
        "split": "test",
    },
    {
        "path": "b/ä b.png",
        "label": "NG",
        "defect": "dent",
        "serial": "S2",
        "view": "A",
        "lot": "8",
        "split": "test",
    },
    {
        "path": "b/ä b.png",
        "label": "NG",
        "defect": "scratch",
        "serial": "S2",
        "view": "A",
        "lot": "8",
        "split": "test",
    },
    {
        "path": "b/4.png",
        "label": "doubtful",
        "defect": "",
        "serial": "",
        "view": "",
        "lot": "",
        "split": "test",
    },
]


def expected(root: Path) -> list[Sample]:
    return [
        Sample("a/1.png", root / "a/1.png", 0, "train", group="7", serial="S1", view="A"),
        Sample("a/2.png", root / "a/2.png", 0, "test", group="7", serial="S1", view="B"),
        Sample("b/ä b.png", root / "b/ä b.png", 1, "test", "dent, scratch", group="8", serial="S2", view="A"),
        Sample("b/4.png", root / "b/4.png", None, "test"),
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/ä b.png", "b/4.png", "=1.png", "m.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), 9).save(tmp_path / name)
    return tmp_path


def written(root: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> Path:
    path = root / name
    path.write_bytes(text.encode(encoding))
    return path


def read(file: Path, **params: Any) -> list[Sample]:
    dataset = Table(Table.Params(file=file, **params))
    (category,) = dataset.categories()
    return list(dataset.samples(category))


def refused(path: Path, error: type[SegadError] = DataError, **params: Any) -> str:
    """What is said of a table; a word for a column or a value that it does not know is one of the recipe."""
    with pytest.raises(error) as caught:
        read(path, **params)
    assert str(path) in str(caught.value)
    return str(caught.value)


FRAME = pd.DataFrame(ROWS)
FORMS = {
    "list.csv": lambda path: FRAME.to_csv(path, index=False),
    "with a byte order mark.csv": lambda path: FRAME.to_csv(path, index=False, encoding="utf-8-sig"),
    "semicolons.csv": lambda path: FRAME.to_csv(path, index=False, sep=";", lineterminator="\r\n"),
    "sep.csv": lambda path: path.write_text("sep=;\n" + FRAME.to_csv(index=False, sep=";"), encoding="utf-8"),
    "tabs.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "excel unicode.txt": lambda path: FRAME.to_csv(path, index=False, sep="\t", encoding="utf-16"),
    "list.jsonl": lambda path: path.write_text("\n\n".join(map(json.dumps, ROWS)), encoding="utf-8"),
    "list.parquet": lambda path: FRAME.to_parquet(path, index=False),
    "windows.csv": lambda path: FRAME.assign(path=FRAME.path.str.replace("/", "\\")).to_csv(
        path, index=False
    ),
    "absolute.csv": lambda path: FRAME.assign(path=f"{path.parent}/" + FRAME.path).to_csv(path, index=False),
    "here.csv": lambda path: FRAME.assign(path="./x/../" + FRAME.path).to_csv(path, index=False),
    "Header.csv": lambda path: FRAME.rename(columns=str.title).to_csv(path, index=False),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_gives_the_same_images(root: Path, name: str) -> None:
    FORMS[name](root / name)
    assert read(root / name) == expected(root)


class TestTable(DatasetSuite):
    @pytest.fixture(autouse=True)
    def table(self, root: Path) -> None:
        FRAME.assign(category=["x", "x", "y", "y", "y"], mask=["", "", "m.png", "m.png", ""]).to_csv(
            root / "t.csv", index=False
        )
        self.file = root / "t.csv"

    def make(self) -> Table:
        return Table(Table.Params(file=self.file))


def test_categories_and_masks(root: Path) -> None:
    path = written(
        root, "path,label,category,mask\na/1.png,good,x,\nb/4.png,bad,y,m.png\na/2.png,doubtful,z,m.png\n"
    )
    dataset = Table(Table.Params(file=path))
    assert dataset.categories() == ["x", "y", "z"]
    assert dataset.samples("y") == [Sample("b/4.png", root / "b/4.png", 1, mask=root / "m.png")]
    assert dataset.samples("z") == [Sample("a/2.png", root / "a/2.png", None, mask=root / "m.png")]
    with pytest.raises(RecipeError, match="no category 'w'"):
        dataset.samples("w")


def test_masks_of_good_images_are_refused(root: Path) -> None:
    """With their lines, whether the masks exist or not."""
    text = "path,label,mask\na/1.png,good,m.png\na/2.png,ok,none.png\nb/4.png,bad,m.png\n"
    told = refused(written(root, text))
    assert (
        "2 rows have the label of a good image and a mask of defects (line 2: 'm.png', line 3: 'none.png')"
        in told
    )


def test_other_names_of_columns_and_values(root: Path) -> None:
    path = written(root, "Bild;Ergebnis;Charge\na/1.png;1;7\nb/4.png;0;8\na/2.png;;9\n")
    found = read(path, path="Bild", label="Ergebnis", lot="Charge", good="1", bad=["0"], doubtful=[""])
    assert [(s.label, s.group) for s in found] == [(0, "7"), (1, "8"), (None, "9")]


def test_numbers_and_truth(root: Path) -> None:
    pd.DataFrame({"path": ["a/1.png", "a/2.png"], "label": [0.0, 1.0]}).to_parquet(root / "n.parquet")
    assert [s.label for s in read(root / "n.parquet", good=["0"], bad=["1"])] == [0, 1]
    lines = '{"path": "a/1.png", "label": false}\n{"path": "a/2.png", "label": true}\n'
    assert [s.label for s in read(written(root, lines, "n.jsonl"), good=["false"], bad=["true"])] == [0, 1]


def test_a_root_of_its_own(root: Path) -> None:
    (root / "lists").mkdir()
    path = written(root / "lists", "path,label\na/1.png,good\n")
    assert read(path, root=root) == [Sample("a/1.png", root / "a/1.png", 0)]
    assert f"Set root: {root}." in refused(path)


def test_what_segad_writes_can_be_a_list(root: Path) -> None:
    path = written(root, "image,verdict,score\n'=1.png,NG,1.5\na/1.png,OK,0\nb/4.png,UNKNOWN,\n", "v.csv")
    found = read(path, path="image", label="verdict", doubtful="unknown")
    assert [(s.id, s.label) for s in found] == [("=1.png", 1), ("a/1.png", 0), ("b/4.png", None)]


def test_a_missing_column_is_refused_with_a_look(root: Path) -> None:
    text = refused(written(root, "image,class\na/1.png,good\n"), RecipeError)
    assert "no column 'path'" in text
    assert "set path: 'image'" in text
    assert "set label: 'class'" in text
    assert "its first row is image='a/1.png', class='good'" in text
    assert "no column 'lott'" in refused(
        written(root, "path,label,lot\na/1.png,good,1\n"), RecipeError, lot="lott"
    )


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (("normal", "defective"), ["'normal' in 1", "good: ['normal']; bad: ['defective']"]),
        (("0", "1"), ["2 rows have no known label", "good: ['0'] and bad: ['1'], or the other way round"]),
        (("good", ""), ["1 row has no known label (none in 1)", "doubtful: [doubtful, '']"]),
        (("good", "krumm"), ["'krumm' in 1", "Say which are good, bad or doubtful"]),
    ],
)
def test_unknown_labels(root: Path, labels: tuple[str, str], facts: list[str]) -> None:
    text = refused(written(root, f"path,label\na/1.png,{labels[0]}\na/2.png,{labels[1]}\n"), RecipeError)
    assert all(fact in text for fact in facts), text


def test_splits(root: Path) -> None:
    path = written(root, "path,label,split\na/1.png,good,train\na/2.png,good,val\n")
    assert "train: [train, 'val']" in refused(path, RecipeError)
    assert [s.split for s in read(path, test=["test", "val"])] == ["train", "test"]
    path = written(root, "path,label,split\na/1.png,good,train\na/2.png,good,\n")
    assert "1 row has no split, though others have one ('a/2.png')" in refused(path)
    path = written(root, "path,label,split\na/1.png,good,\na/2.png,good,\n")
    assert [s.split for s in read(path)] == [None, None]


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        (",good,", "1 row has an empty path (line 3)"),
        ("a/lost.png,good,", "a path that does not exist"),
        ("a,good,", "a path that does not exist"),
        ("../x.png,good,", "a path outside the folder"),
        ("a/../../x.png,good,", "a path outside the folder"),
        ("/etc/x.png,good,", "a path outside the folder"),
        ("C:\\x.png,good,", "a path outside the folder"),
        ("a/1.png,bad,", "an image that another row describes differently (line 2 and line 3: 'a/1.png')"),
        ("a/2.png,good,dent", "the label of a good image and a type of defect (line 3: 'dent')"),
        ("a/2.png,good,,x", "line 3 has 4 values, and there are 3 columns"),
    ],
)
def test_rows_that_are_refused(root: Path, row: str, fact: str) -> None:
    text = refused(written(root, f"path,label,defect\na/1.png,good,\n{row}\n"))
    assert fact in text
    assert ("Set root to" in text) == ("outside" in fact or "exist" in fact)


def test_many_faults_are_counted(root: Path) -> None:
    lines = "".join(f"lost{number}.png,good\n" for number in range(12))
    text = refused(written(root, f"path,label\n{lines}"))
    assert "12 rows have a path that does not exist" in text
    assert "and 7 more" in text


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"path,label\n", "no rows"),
        (b"", "no rows"),
        (b"path,label\nM\xe4rz.png,good\n", "encoding: cp1252"),
        (b"path,path,label\n1,2,3\n", "two columns are called 'path'"),
        (b'path,label\n"a,good\n', "unexpected end of data"),
        (b"path,label\na\0b,good\n", "NUL"),
    ],
)
def test_damaged_tables(root: Path, data: bytes, fact: str) -> None:
    (root / "list.csv").write_bytes(data)
    assert fact in refused(root / "list.csv")


def test_other_damaged_forms(root: Path) -> None:
    assert "line 2" in refused(written(root, '{"path": "a/1.png", "label": "good"}\n[1]\n', "x.jsonl"))
    assert "list where a text" in refused(
        written(root, '{"path": ["a/1.png"], "label": "good"}\n', "x.jsonl")
    )
    assert "cannot be read" in refused(written(root, "PAR1", "x.parquet"))
    assert ".csv" in refused(written(root, "", "x.xlsx"))


def test_an_encoding_can_be_named(root: Path) -> None:
    path = written(root, "path,label\nb/ä b.png,bad\n", encoding="cp1252")
    assert read(path, encoding="cp1252")[0].id == "b/ä b.png"


@pytest.mark.parametrize(
    "params", [{"good": ["x"], "bad": ["X"]}, {"train": "a", "test": "a"}, {"encoding": "no"}]
)
def test_parameters_that_contradict_themselves(root: Path, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Table.Params(file=root / "list.csv", **params)


def test_a_list_gives_what_a_folder_gives(tmp_path: Path) -> None:
    """The same images with the same labels, whichever way they are named: the same scores, from the store."""
    data = data_set(tmp_path / "data") / "a"
    rows = "".join(f"{p.relative_to(data)};{p.parent.name}\r\n" for p in sorted(data.rglob("*.png")))
    (data / "a.csv").write_text(f"\ufeffpath;label\r\n{rows}", encoding="utf-8")
    for name, use in (
        ("folder", "{use: folder, params: {root: data}}"),
        ("table", "{use: table, params: {file: data/a/a.csv}}"),
    ):
        text = RECIPE.replace("{use: folder, params: {root: data}}", use)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        said(run_command(tmp_path / f"{name}.yaml"))
    folder, table = (
        (tmp_path / "runs" / name / "latest/scores.csv").read_text() for name in ("folder", "table")
    )
    assert folder == table
    assert (
        segad(
            "datasets", "check", "table", "--param", f"file={data / 'a.csv'}", "--store", tmp_path / "store"
        ).exit_code
        == 0
    )


def test_rows_of_pages(tmp_path: Path) -> None:
    """A column is one of pages only if the parameter says so."""
    Image.new("L", (8, 8)).save(tmp_path / "a.tif")
    path = tmp_path / "list.csv"
    path.write_text("path,label,page,leaf\na.tif,good,cover,1\na.tif,bad,cover,2\n")
    samples = Table(Table.Params(file=path, page="leaf")).samples("list")
    assert [(s.id, s.path, s.label, s.page) for s in samples] == [
        ("a.tif#1", tmp_path / "a.tif", 0, 1),
        ("a.tif#2", tmp_path / "a.tif", 1, 2),
    ]
    for wrong, count in (("page", 2), ("label", 2)):
        with pytest.raises(DataError, match=f"{count} rows have a page that is not a number from 1 up"):
            Table(Table.Params(file=path, page=wrong)).samples("list")
    path.write_text("path,label,page\na.tif,good,cover\n")
    (sample,) = Table(Table.Params(file=path)).samples("list")
    assert sample.page is None and sample.id == "a.tif"
