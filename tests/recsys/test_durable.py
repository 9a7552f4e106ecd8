import stat

import pytest

from recsys.durable import at_once_or_not, put, write_private


def test_a_private_file_is_for_its_owner_alone_and_takes_the_place_of_the_one_before(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text("before")
    path.chmod(0o644)
    write_private(path, b"after")
    assert path.read_bytes() == b"after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_no_obstacle_and_a_failed_write_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "keys.json"
    (tmp_path / ".keys.json.tmp").write_text("half")
    write_private(path, b"whole")

    def full(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("recsys.durable.os.fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        write_private(path, b"more")
    assert path.read_bytes() == b"whole"


def test_a_file_is_put_in_the_place_of_the_one_before_as_a_whole(tmp_path):
    path = tmp_path / "decision.json"
    for content in (b"before", b"after"):
        put(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_that_another_one_holds_is_not_waited_for_and_free_again_afterwards(tmp_path):
    lock = tmp_path / ".lock"
    with at_once_or_not(lock) as first, at_once_or_not(lock) as second:
        assert (first, second) == (True, False)
    with at_once_or_not(lock) as third:
        assert third
