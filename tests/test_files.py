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
