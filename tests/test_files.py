"""Files and folders are written whole or not at all, and data/ is found."""

import os
import stat

import pytest

from dp_helpers import files
from dp_helpers.errors import InputError


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with files.whole_file(path) as temporary:
        temporary.write_text("a,b\n")
        assert temporary.suffix == ".csv" and not path.exists()
    assert path.read_text() == "a,b\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_file_that_failed(tmp_path, error):
    with pytest.raises(error), files.whole_file(tmp_path / "new" / "deep" / "table.csv") as temporary:
        temporary.write_text("a,")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_stays_when_the_new_one_fails(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_when_it_is_whole_and_others_can_read_it(tmp_path):
    path = tmp_path / "new" / "run"
    with files.whole_folder(path) as temporary:
        (temporary / "one.txt").write_text("1")
        assert not path.exists()
    assert [each.name for each in path.iterdir()] == ["one.txt"]
    (tmp_path / "plain").mkdir()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_folder_that_failed(tmp_path, error):
    with pytest.raises(error), files.whole_folder(tmp_path / "new" / "run") as temporary:
        (temporary / "one.txt").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("replace", "names"), [(False, ["new.txt", "old.txt"]), (True, ["new.txt"])])
def test_a_folder_that_exists_is_added_to_or_replaced(tmp_path, replace, names):
    path = tmp_path / "run"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with files.whole_folder(path, replace=replace) as temporary:
        (temporary / "new.txt").write_text("new")
    assert sorted(each.name for each in path.iterdir()) == names
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_is_checked_before_the_work(tmp_path):
    (tmp_path / "file.png").write_text("")
    for path, suffix, words in (
        (tmp_path / "out.jpg", ".png", "must end with .png"),
        (tmp_path, ".png", "cannot be the output file"),
        (tmp_path / "file.png", None, "is a file"),
        (tmp_path / "file.png" / "out", None, "not a folder you may write to"),
    ):
        with pytest.raises(InputError, match=words):
            files.check_can_write(path, suffix=suffix)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="is a folder: name a file in it"):
        files.check_can_write(tmp_path / "folder.png", suffix=".png")
    assert files.check_can_write(tmp_path / "new" / "OUT.PNG", suffix=".png") == tmp_path / "new" / "OUT.PNG"
    assert not (tmp_path / "new").exists()


def test_data_folder_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMPAINT_DATA", str(tmp_path))
    assert files.find_data() == tmp_path
    monkeypatch.setenv("DREAMPAINT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="DREAMPAINT_DATA"):
        files.find_data()


def test_data_folder_is_that_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.delenv("DREAMPAINT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert (files.find_data() / "tiny").is_dir()


def test_data_folder_is_that_around_the_working_folder_for_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.delenv("DREAMPAINT_DATA", raising=False)
    monkeypatch.setattr(files, "__file__", os.fspath(tmp_path / "site-packages" / "dp_helpers" / "files.py"))
    checkout = tmp_path / "checkout"
    (checkout / "data" / "catalog").mkdir(parents=True)
    (checkout / "notebooks").mkdir()
    monkeypatch.chdir(checkout / "notebooks")
    assert files.find_data() == checkout / "data"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="was not found"):
        files.find_data()


@pytest.fixture
def drive(monkeypatch):
    """A mounted drive that cannot rename a folder or change a mode, as Google Drive in Colab."""

    def refuse(*_, **__):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.Path, "rename", refuse)
    monkeypatch.setattr(files.Path, "chmod", refuse)


def write_run(path, text: str) -> None:
    with files.whole_folder(path, replace=True) as temporary:
        (temporary / "unet").mkdir()
        (temporary / "unet" / "config.json").write_text(text)
        (temporary / "run.json").write_text(text)


def test_a_drive_that_cannot_rename_folders(tmp_path, drive):
    for text in ("old", "new"):
        write_run(tmp_path / "run", text)
        assert (tmp_path / "run" / "run.json").read_text() == text
        assert (tmp_path / "run" / "unet" / "config.json").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_on_such_a_drive_the_record_is_copied_last(tmp_path, drive, monkeypatch):
    copied, real = [], files.shutil.copyfile
    monkeypatch.setattr(files.shutil, "copyfile", lambda one, other: copied.append(one.name) or real(one, other))
    write_run(tmp_path / "run", "new")
    assert copied == ["config.json", "run.json"]


def test_on_such_a_drive_a_copy_that_fails_is_removed(tmp_path, drive, monkeypatch):
    def full(one, other):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        write_run(tmp_path / "run", "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_modes_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        with files.whole_folder(tmp_path / "run") as temporary:
            (temporary / "unet").mkdir(mode=0o700)
            (temporary / "unet" / "weights").touch(mode=0o600)
        with files.whole_file(tmp_path / "model.bin") as path:
            path.touch(mode=0o600)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    folder, file = 0o777 & ~mask, 0o666 & ~mask
    assert modes == {"run": folder, "unet": folder, "weights": file, "model.bin": file}
