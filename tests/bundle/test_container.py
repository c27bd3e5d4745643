"""A bundle's files: none leaves the folder, none is a link, and none that has changed is read."""

from __future__ import annotations

import errno
import io
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bundles import Parts, sealed, write

from segad_core.base import leftovers
from segad_core.bundle.format.container import MANIFEST, SEAL, Container
from segad_core.bundle.format.names import MOST_FILES
from segad_core.errors import BundleError, ResourceError

FORMS = pytest.mark.parametrize("form", ["folder", "zip"])
PLAIN = {
    "format": 1,
    "pipeline": {"category": "a", "row": "r", "seed": 0, "size": [16, 16], "white": 255, "batch_size": 1},
    "provenance": {"segad": "0", "dataset": "d"},
}


@pytest.fixture
def parts() -> Parts:
    return Parts(PLAIN, {"one.bin": b"first " * 9, "sub/two.bin": b"second"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three folders deep, so that a path that leads up is noticed; only what the test wrote may be left."""
    home, scratch = tmp_path / "a" / "b" / "c", tmp_path / "scratch"
    home.mkdir(parents=True)
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield home
    assert {path for path in tmp_path.rglob("*") if home not in path.parents} == {
        scratch,
        *home.parents[:2],
        home,
    }


def read_all(path: Path) -> dict[str, bytes]:
    container = Container(path)
    try:
        container.verify()
        read = {name: container.read(name) for name in container.manifest.files}
        assert {name: container.file(name).read_bytes() for name in read} == read
        return read
    finally:
        container.close()


def refused(path: Path, words: str | None = None) -> str:
    """The message for a bundle that is refused, which must be printable."""
    with pytest.raises(BundleError, match=words) as caught:
        read_all(path)
    assert str(path) in caught.value.what and caught.value.remedy
    assert caught.value.what.replace(str(path), "").isprintable()
    assert len(caught.value.what) < 700 + len(str(path))
    return caught.value.what


@FORMS
def test_what_was_written_is_read(form: str, home: Path, parts: Parts) -> None:
    assert read_all(parts.write(home, form)) == parts.files


@FORMS
def test_one_byte_flipped_anywhere_is_refused(form: str, home: Path, parts: Parts) -> None:
    files = parts.signed()
    for name, data in files.items():
        for place in range(len(data)):
            changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            refused(write(home, form, {**files, name: changed}))


@FORMS
@pytest.mark.parametrize("change", [b"", b"one", b"first " * 9 + b"!", b"x" * 100_000])
def test_another_length_is_refused(form: str, change: bytes, home: Path, parts: Parts) -> None:
    refused(write(home, form, {**parts.signed(), "one.bin": change}), "'one.bin' has changed")


@FORMS
@pytest.mark.parametrize("name", ["one.bin", "sub/two.bin", MANIFEST, SEAL])
def test_a_missing_file_is_named(form: str, name: str, home: Path, parts: Parts) -> None:
    files = parts.signed()
    del files[name]
    assert f"'{name}'" in refused(write(home, form, files))


@FORMS
@pytest.mark.parametrize("name", ["stray.bin", "sub/stray.pkl"])
def test_a_file_that_the_manifest_lacks_is_named(form: str, name: str, home: Path, parts: Parts) -> None:
    assert f"'{name}'" in refused(write(home, form, {**parts.signed(), name: b""}))


@FORMS
@pytest.mark.parametrize("name", [MANIFEST, SEAL])
def test_a_manifest_does_not_name_itself(form: str, name: str, home: Path, parts: Parts) -> None:
    parts.files[name] = b""
    files = parts.signed()
    refused(write(home, form, sealed(files, files[MANIFEST])), "lists itself")


NAMES = {
    "up": "../evil",
    "far up": "../../../evil",
    "up from within": "sub/../../evil",
    "absolute": "/tmp/evil",
    "drive": "C:/evil",
    "drive, backslash": "C:\\evil",
    "backslashes": "..\\..\\evil",
    "one backslash": "sub\\two.bin",
    "UNC": "//server/share",
    "double slash": "sub//two.bin",
    "here": "./one.bin",
    "folder": "sub/",
    "a dot": ".",
    "two dots": "..",
    "home": "~/evil",
    "option": "-rf",
    "hidden": ".ssh/keys",
    "ends in a dot": "one.bin.",
    "ends in a space": "one.bin ",
    "stream": "one.bin:evil",
    "variable": "$HOME/evil",
    "NUL": "one\0.bin",
    "line": "one\n.bin",
    "escape": "one\x1b[2J.bin",
    "umlaut": "ünë.bin",
    "right to left": "one\u202enib.bin",
    "wide dots": "\uff0e\uff0e/evil",
    "wide slash": "..\uff0fevil",
    "dots of one": "\u2025/evil",
    "no space": "one\u200b.bin",
    "two spellings": "e\u0301.bin",
    "very long": "x" * 300,
    "long path": "/".join(["x" * 100] * 100),
    "deep": "a/b/c/d/e",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_lead_elsewhere_are_refused(name: str, home: Path, parts: Parts) -> None:
    parts.files[name] = b"evil"
    files = parts.signed()
    path = write(home, "zip", {n.replace("\0", "%"): data for n, data in files.items()})
    path.write_bytes(path.read_bytes().replace(b"one%", b"one\0"))  # zipfile would not write it
    refused(path)
    # and if the manifest alone says so
    refused(write(home, "folder", {n: data for n, data in files.items() if n != name}), "missing")


FOLDERS_CAN = [
    name for name in NAMES.values() if not ({"/", "\0"} & {*name} or name in (".", "..", "x" * 300))
]


@pytest.mark.parametrize("name", [*FOLDERS_CAN, "x" * 200, "\udcff.bin"])
def test_and_in_folders_as_far_as_they_can_be_there(name: str, home: Path, parts: Parts) -> None:
    parts.files[name] = b"evil"
    refused(parts.write(home, "folder"), "is not allowed|too deep")


@pytest.mark.parametrize("name", ["ONE.bin", "one.BIN", "Sub/two.bin", "SUB/TWO.BIN", "Manifest.json"])
def test_names_alike_in_capitals_are_refused(name: str, home: Path, parts: Parts) -> None:
    parts.files[name] = b"first"
    refused(parts.write(home, "zip"), "twice")


def link(home: Path, name: str, target: str) -> Path:
    path = home / "bundle" / name
    if path.is_file():
        path.unlink()
    path.symlink_to(target)
    return path


NOT_FILES: dict[str, Callable[[Path], object]] = {
    "link to the same bytes": lambda home: link(home, "one.bin", str(home / "copy")),
    "link inside": lambda home: link(home, "one.bin", "sub/two.bin"),
    "link to nowhere": lambda home: link(home, "one.bin", "nowhere"),
    "link to itself": lambda home: link(home, "one.bin", "one.bin"),
    "link to the system": lambda home: link(home, "one.bin", "/etc/passwd"),
    "linked manifest": lambda home: link(home, MANIFEST, str(home / "copy")),
    "linked folder": lambda home: link(home, "linked", str(home)),
    "loop of folders": lambda home: link(home, "sub/again", ".."),
    "endless device": lambda home: link(home, "one.bin", "/dev/zero"),
    "pipe": lambda home: ((home / "bundle/one.bin").unlink(), os.mkfifo(home / "bundle/one.bin")),
    "manifest that is a pipe": lambda home: (
        (home / "bundle" / MANIFEST).unlink(),
        os.mkfifo(home / "bundle" / MANIFEST),
    ),
    "manifest that is a folder": lambda home: (
        (home / "bundle" / MANIFEST).unlink(),
        (home / "bundle" / MANIFEST).mkdir(),
    ),
    "deep folders": lambda home: (home / "bundle/1/2/3/4/5").mkdir(parents=True),
    "many folders": lambda home: [(home / f"bundle/sub/{i}").mkdir() for i in range(2 * MOST_FILES)],
    "many files": lambda home: [(home / f"bundle/{i}").touch() for i in range(MOST_FILES)],
}


@pytest.mark.parametrize("spoil", NOT_FILES.values(), ids=NOT_FILES)
def test_what_is_no_plain_file_in_a_folder(spoil: Callable[[Path], object], home: Path, parts: Parts) -> None:
    (home / "copy").write_bytes(parts.files["one.bin"])
    path = parts.write(home, "folder")
    spoil(home)
    refused(path)


def test_a_socket_is_refused(home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parts.write(home, "folder")
    monkeypatch.chdir(path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        refused(path, "neither a file nor a folder")


Infos = dict[str, zipfile.ZipInfo]


def zip_of(parts: Parts, home: Path, spoil: Callable[[Infos], object], **how: int) -> Path:
    """A zip whose directory a test changes before it is written."""
    with zipfile.ZipFile(home / "bundle.zip", "w", **how) as archive:
        for name, data in parts.signed().items():
            archive.writestr(name, data)
        spoil(archive.NameToInfo)
    return home / "bundle.zip"


def mode(kind: int) -> Callable[[Infos], object]:
    return lambda infos: setattr(infos["one.bin"], "external_attr", (kind | 0o777) << 16)


def change(what: str, value: int) -> Callable[[Infos], object]:
    return lambda infos: setattr(infos["one.bin"], what, value)


def overlap(infos: Infos) -> None:
    infos["sub/two.bin"].header_offset = infos["one.bin"].header_offset


def longer(infos: Infos) -> None:
    """The first member reaches over the second: a bomb made of overlaps."""
    infos["one.bin"].file_size = infos["one.bin"].compress_size = 150


DIRECTORIES: dict[str, tuple[Callable[[Infos], object], str]] = {
    "link": (mode(stat.S_IFLNK), "is a link"),
    "folder": (mode(stat.S_IFDIR), "not a plain file"),
    "device": (mode(stat.S_IFBLK), "not a plain file"),
    "terminal": (mode(stat.S_IFCHR), "not a plain file"),
    "pipe": (mode(stat.S_IFIFO), "not a plain file"),
    "socket": (mode(stat.S_IFSOCK), "not a plain file"),
    "encrypted": (change("flag_bits", 1), "encrypted"),
    "patched": (change("flag_bits", 0x20), "encrypted"),
    "strongly encrypted": (change("flag_bits", 0x40), "encrypted"),
    "deflated, it says": (change("compress_type", zipfile.ZIP_DEFLATED), "compressed"),
    "unknown method": (change("compress_type", 97), "compressed"),
    "later version": (change("extract_version", 99), "version"),
    "wrong checksum": (change("CRC", 0), "cannot be read"),
    "larger than its bytes": (change("file_size", 1 << 31), "the size and place"),
    "smaller than its bytes": (change("file_size", 1), "the size and place"),
    "of many exabytes": (change("file_size", 1 << 62), "the size and place"),
    "two in one place": (overlap, "the size and place"),
    "one over the other": (longer, "the size and place"),
    "behind the end": (change("header_offset", 1 << 30), "the size and place"),
    "at no place": (change("header_offset", 2**63 - 1), "the size and place"),
}


@pytest.mark.parametrize(("spoil", "words"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_a_zip_whose_directory_lies(
    spoil: Callable[[Infos], object], words: str, home: Path, parts: Parts
) -> None:
    refused(zip_of(parts, home, spoil), words)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused_before_they_are_unpacked(
    method: int, home: Path, parts: Parts
) -> None:
    parts.files["bomb.bin"] = bytes(8 << 20)
    refused(zip_of(parts, home, lambda _: None, compression=method), "compressed")


def test_two_members_of_one_name_are_refused(home: Path, parts: Parts) -> None:
    path = parts.write(home, "zip")
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("one.bin", b"the other")
    refused(path, "twice")


def test_too_many_members_are_refused(home: Path, parts: Parts) -> None:
    parts.files |= {f"{i}.bin": b"" for i in range(MOST_FILES)}
    refused(parts.write(home, "zip"), "more than 1000 files")


def test_a_zip_may_end_nowhere_but_at_its_end(home: Path, parts: Parts) -> None:
    whole = parts.write(home, "zip").read_bytes()
    path = home / "cut.zip"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize("before, after", [(b"#!/bin/sh\n", b""), (b"", b"\n"), (b"", b"evil" * 9999)])
def test_nothing_stands_before_or_after_a_zip(before: bytes, after: bytes, home: Path, parts: Parts) -> None:
    path = parts.write(home, "zip")
    path.write_bytes(before + path.read_bytes() + after)
    refused(path)


def test_nothing_stands_between_the_members(home: Path, parts: Parts) -> None:
    with zipfile.ZipFile(home / "bundle.zip", "w") as archive:
        for name, data in parts.signed().items():
            archive.writestr(name, data)
            archive.fp.write(b"hidden")  # type: ignore[union-attr]
            archive.start_dir = archive.fp.tell()  # type: ignore[union-attr]
    refused(home / "bundle.zip")


def test_a_zip_with_a_comment_is_refused(home: Path, parts: Parts) -> None:
    path = parts.write(home, "zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK\5\6" + bytes(18)
    refused(path)


def test_a_huge_directory_is_refused_before_it_is_read(home: Path, parts: Parts) -> None:
    path = parts.write(home, "zip")
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, len(data) - 10, 2**31)
    path.write_bytes(data)
    refused(path, "its directory has 2147483648 bytes")


@pytest.mark.parametrize("record", [b"PK\6\6", b"PK\1\2"])
def test_also_one_that_only_the_record_of_large_zips_tells(record: bytes, home: Path, parts: Parts) -> None:
    path = parts.write(home, "zip")
    data = path.read_bytes()
    large = struct.pack("<4sQ2H2L4Q", record, 44, 45, 45, 0, 0, 10**7, 10**7, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(data) - 22, 1)
    path.write_bytes(data[:-22] + large + locator + data[-22:])
    refused(path, "directory has 1099511627776 bytes" if record == b"PK\6\6" else "like a large zip")


@pytest.mark.parametrize("what", [b"", b"PK\3\4", b"\x80\x04.", b"\x1f\x8b\x08", b"PK\5\6" + bytes(18)])
def test_a_file_that_is_no_zip(what: bytes, home: Path) -> None:
    (home / "bundle.zip").write_bytes(what)
    refused(home / "bundle.zip")


@pytest.mark.parametrize("name", ["nowhere", "x" * 300, "nul\0", "pipe"])
def test_what_is_no_bundle_at_all(name: str, home: Path) -> None:
    os.mkfifo(home / "pipe")
    with pytest.raises(BundleError, match="there is no such bundle"):
        Container(home / name)


@FORMS
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (1 << 40, "more than 64 GiB"),
        (1 << 62, "files.one.bin.size"),
        (15 << 30, r"'one\.bin' has 15\.0 GiB, more than the limit of 4\.0 GiB"),
        (3 << 30, "'one.bin' has changed"),
    ],
)
def test_a_claim_of_exabytes_is_refused_before_anything_is_read(
    form: str, size: int, words: str, home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = parts.signed()
    manifest = files[MANIFEST].replace(b'"size": 54', f'"size": {size}'.encode())
    assert manifest != files[MANIFEST]
    path = write(home, form, sealed(files, manifest))
    monkeypatch.setattr(Container, "_verify", lambda *_: pytest.fail("a file was read"))
    refused(path, words)


KINDS = {
    "operating.json": 1 << 20,
    "golden.json": 1 << 20,
    "recipe.yaml": 1 << 20,
    "splits.json": 64 << 20,
    "calibration.json": 64 << 20,
    "training.json": 64 << 20,
    "calibration.safetensors": 256 << 20,
    "training.safetensors": 256 << 20,
    "golden/0.png": 64 << 20,
    "features/a.safetensors": 256 << 20,
    "image_features/a.safetensors": 256 << 20,
    "final/model.json": 512 << 20,
    "detectors/a.safetensors": 4 << 30,
    "classifiers/a.safetensors": 4 << 30,
    "files/encoder-file-0.safetensors": 4 << 30,
}


@pytest.mark.parametrize(("name", "most"), KINDS.items(), ids=KINDS)
@pytest.mark.parametrize("claimed", [True, False])
def test_each_kind_of_file_has_a_limit(
    name: str, most: int, claimed: bool, home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 16 GiB that takes no place on the disk is refused by its size, whatever the manifest says."""
    parts.files[name] = b"{}"
    files = parts.signed()
    if claimed:
        files = sealed(files, files[MANIFEST].replace(b'"size": 2}', f'"size": {most + 1}}}'.encode()))
    path = write(home, "folder", files)
    os.truncate(path / name, most + 1 if claimed else 16 << 30)
    monkeypatch.setattr(Container, "_verify", lambda *_: pytest.fail("a file was read"))
    refused(path, f"'{name}' has .* more than the limit" if claimed else f"'{name}' has changed")


def test_golden_images_are_counted(home: Path, parts: Parts) -> None:
    parts.files |= {f"golden/{i}.png": b"" for i in range(101)}
    refused(parts.write(home, "folder"), "more than 100 golden images")


@FORMS
def test_only_files_that_the_manifest_names_can_be_asked_for(form: str, home: Path, parts: Parts) -> None:
    container = Container(parts.write(home, form))
    for name in ("../copy", "/etc/passwd", MANIFEST, "three.bin", "", "sub"):
        for ask in (container.read, container.file, container.text, container.json):
            with pytest.raises(BundleError, match="has no file"):
                ask(name)
    container.close()


@FORMS
def test_text_and_json_are_what_they_say(form: str, home: Path, parts: Parts) -> None:
    parts.files |= {
        "a.json": b'{"a": [1]}',
        "b.json": b'{"a": 1, "a": 2}',
        "c.json": b"[NaN]",
        "d.json": b"\xff",
    }
    container = Container(parts.write(home, form))
    assert container.text("one.bin") == "first " * 9
    assert container.json("a.json") == {"a": [1]}
    for name in ("b.json", "c.json", "d.json", "one.bin"):
        with pytest.raises(BundleError, match="not valid JSON"):
            container.json(name)
    with pytest.raises(BundleError, match="not UTF-8 text"):
        container.text("d.json")
    container.close()


def test_a_file_that_changes_while_the_bundle_is_open_is_refused(home: Path, parts: Parts) -> None:
    path = parts.write(home, "folder")
    container = Container(path)
    container.verify()
    (path / "one.bin").write_bytes(b"SECOND" * 9)
    for ask in (container.read, container.file):
        with pytest.raises(BundleError, match="has changed"):
            ask("one.bin")
    (path / "one.bin").unlink()
    (path / "one.bin").symlink_to("sub/two.bin")
    with pytest.raises(BundleError, match="cannot be read"):
        container.read("one.bin")


def test_copies_out_of_a_zip_have_names_of_their_own_and_go(home: Path, parts: Parts) -> None:
    container = Container(parts.write(home, "zip"))
    copy = container.file("sub/two.bin")
    assert (copy.read_bytes(), copy.suffix) == (b"second", ".bin")
    assert copy == container.file("sub/two.bin") and "two" not in copy.name
    container.close()
    assert not copy.exists()


FAULTS = [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ESTALE]


def fault(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_a_fault_of_the_machine_is_not_that_of_the_bundle(
    number: int, home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place that opens, lists or reads fails, one after the other."""
    sites: list[tuple[str, object, str]] = [
        ("folder", os, "open"),
        ("folder", os, "scandir"),
        ("folder", os, "stat"),
        ("folder", os, "fdopen"),
        ("zip", os, "open"),
        ("zip", zipfile, "ZipFile"),
        ("zip", zipfile.ZipFile, "open"),
    ]
    for form, owner, name in sites:
        path = parts.write(home, form)
        with monkeypatch.context() as patched, pytest.raises(ResourceError) as caught:
            patched.setattr(owner, name, _fails_with(number))
            read_all(path)
        assert str(path) in caught.value.what and os.strerror(number) in caught.value.what, (form, name)
        assert "Do not use" not in str(caught.value)
        assert read_all(path) == parts.files


def _fails_with(number: int) -> Callable[..., object]:
    def fails(*_: object, **__: object) -> object:
        raise fault(number)

    return fails


@FORMS
def test_no_memory_is_not_the_fault_of_the_bundle(
    form: str, home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise MemoryError

    container = Container(parts.write(home, form))
    monkeypatch.setattr("segad_core.bundle.format.container.io.BytesIO", Full)
    with pytest.raises(ResourceError, match=r"'one\.bin' of .*: out of memory"):
        container.read("one.bin")
    container.close()


def test_a_full_disk_is_not_the_fault_of_the_bundle(
    home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise fault(errno.ENOSPC)

    container = Container(parts.write(home, "folder"))
    with pytest.raises(OSError, match="No space left"):
        container.member("one.bin").copy(Full())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", _fails_with(errno.ENOSPC))
        with pytest.raises(ResourceError, match=r"'sub/two\.bin' of .*No space left"):
            container.file("sub/two.bin")
    assert container.file("sub/two.bin").read_bytes() == b"second"
    container.close()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ELOOP, errno.EISDIR])
def test_a_member_that_is_something_else_is_the_fault_of_the_bundle(
    number: int, home: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(parts.write(home, "folder"))
    monkeypatch.setattr(os, "open", _fails_with(number))
    with pytest.raises(BundleError, match=r"'one\.bin'"):
        container.read("one.bin")
    container.close()


def test_copies_of_a_killed_process_are_swept(home: Path, parts: Parts, tmp_path: Path) -> None:
    """The tests' own check of what is left in the temporary folder is the rest of this test."""
    path = parts.write(home, "folder")
    command = (
        "import os, signal, sys; from pathlib import Path\n"
        "from segad_core.bundle.format.container import Container\n"
        "one = Container(Path(sys.argv[1])); one.file('one.bin'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    subprocess.run([sys.executable, "-c", command, str(path)], env=environment, check=False)
    assert list((tmp_path / "scratch").iterdir())
    leftovers._swept.clear()
    read_all(path)
