"""Files and folders are written whole or not at all, and data/ is found."""

import errno
import os
import shutil
import stat
import subprocess
import sys

import pytest
from PIL import Image

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


@pytest.fixture
def mount(tmp_path, monkeypatch):
    """A mount point with an old run: it is busy, and nothing is moved into it from another disk."""
    path = tmp_path / "run"
    for name in ("checkpoints/step-000001/state.json", "unet/config.json", "unet/left-over.txt", "run.json"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("old")

    def guarded(real):
        def move(one, other):
            one, other = files.Path(one), files.Path(other)
            if path in (one, other):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            if (path in one.parents) != (path in other.parents):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return real(one, other)

        return move

    def rmtree(folder, *given, **options):
        if files.Path(folder) != path:
            return real_rmtree(folder, *given, **options)
        for inside in path.iterdir():
            real_rmtree(inside) if inside.is_dir() else inside.unlink()
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    real_rmtree = shutil.rmtree
    monkeypatch.setattr(files.Path, "rename", guarded(files.Path.rename))
    monkeypatch.setattr(files.Path, "replace", guarded(files.Path.replace))
    monkeypatch.setattr(files.shutil, "rmtree", rmtree)
    return path


def contents(folder) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_mount_point_gets_the_new_files_and_loses_the_old_ones(mount):
    write_run(mount, "new")
    assert contents(mount) == {"unet/config.json": "new", "run.json": "new"}
    assert sorted(path.name for path in mount.iterdir()) == ["run.json", "unet"]
    assert [path.name for path in mount.parent.iterdir()] == ["run"]


def test_files_are_added_to_a_mount_point(mount):
    before = contents(mount)
    with files.whole_folder(mount) as temporary:
        (temporary / "new.txt").write_text("new")
    assert contents(mount) == before | {"new.txt": "new"} and [path.name for path in mount.parent.iterdir()] == ["run"]


def test_new_files_that_a_mount_point_does_not_take_stay_next_to_it(mount, monkeypatch):
    def full(one, other):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "copyfile", full)
        with pytest.raises(
            files.CannotWrite, match=r"run did not take all .*No space left.*: they are whole in .*\.run\.p"
        ):
            write_run(mount, "new")
    (kept,) = (path for path in mount.parent.iterdir() if path != mount)
    assert contents(kept).items() >= {"unet/config.json": "new", "run.json": "new"}.items()
    assert (mount / "checkpoints" / "step-000001" / "state.json").is_file()
    write_run(mount, "newer")  # what stayed has no use any more
    assert contents(mount)["run.json"] == "newer" and [path.name for path in mount.parent.iterdir()] == ["run"]


KILLED = """
import os, sys
from pathlib import Path
from dp_helpers import files
def busy(*_):
    raise OSError(16, "busy")
files.Path.rename = busy
copied, real = [], files.shutil.copyfile
files.shutil.copyfile = lambda one, other: os._exit(9) if copied else copied.append(real(one, other))
with files.whole_folder(sys.argv[1], replace=True) as temporary:
    (temporary / "unet").mkdir()
    for name in ("unet/config.json", "unet/weights", "run.json"):
        (temporary / name).write_text("new")
"""


def test_after_a_kill_between_two_files_the_new_ones_stay_until_others_are_there(mount):
    root = files.Path(files.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    (mount.parent / "run-2").mkdir()
    assert subprocess.run([sys.executable, "-c", KILLED, mount], env=environment).returncode == 9
    assert not (mount / "run.json").exists() and (mount / "checkpoints").is_dir()
    files.recover(mount)
    (kept,) = mount.parent.glob(".run.partial-*")
    new = {"unet/config.json": "new", "unet/weights": "new", "run.json": "new"}
    assert contents(kept).items() >= new.items()
    (mount / "a painting.png").touch()
    files.recover(mount)  # touches nothing of the reader's
    assert (mount / "a painting.png").exists()
    write_run(mount, "newer")
    assert contents(mount) == {"unet/config.json": "newer", "run.json": "newer"}
    assert sorted(path.name for path in mount.parent.iterdir()) == ["run", "run-2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for a right to make links")
def test_what_is_behind_a_link_may_have_any_name(tmp_path):
    (tmp_path / "picture.png").symlink_to(tmp_path / "blob")
    with files.whole_file(tmp_path / "picture.png") as temporary:
        Image.new("RGB", (2, 2)).save(temporary)
    assert Image.open(tmp_path / "blob").format == "PNG"


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for a right to make links")
def test_behind_a_link_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "disk" / "table.csv").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    (tmp_path / "table.csv").symlink_to(tmp_path / "disk" / "table.csv")
    for text in ("old", "new"):
        write_run(tmp_path / "link", text)
    with files.whole_file(tmp_path / "table.csv") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path / "disk") == {"run/run.json": "new", "run/unet/config.json": "new", "table.csv": "new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link", "table.csv"]
    assert (tmp_path / "link").is_symlink() and (tmp_path / "table.csv").is_symlink()


def test_the_working_folder_itself_can_be_recovered(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / ".run.old").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    files.recover(".")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


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
