from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from recsys.errors import DataError
from recsys.forgetting.key import KEY, UserKey, short_of
from recsys.forgetting.register import REGISTER, Register

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def test_whom_it_notes_it_knows_by_hash_alone_in_files_that_only_the_owner_reads(tmp_path):
    who = Register(tmp_path).note(["ann", "bob"], NOON)
    assert who.among(["cat", "bob", None]) == {"bob": NOON}
    again = Register(tmp_path).pending()
    assert again is not None
    assert again.ids is None
    assert again.among(["ann", "cat", None, "bob"]) == {"ann": NOON, "bob": NOON}
    for name in (REGISTER, KEY):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert b"ann" not in (tmp_path / name).read_bytes()


def test_a_user_is_pending_until_done_and_known_for_ever(tmp_path):
    register = Register(tmp_path)
    who = register.note(["ann"], NOON)
    register.set_served(who)
    pending, known = register.pending(), register.all()
    assert pending is not None
    assert known is not None
    assert pending.moments == known.moments == who.moments
    register.set_done(who)
    assert register.pending() is None
    assert [(one.at, one.served, one.done) for one in register.users()] == [(NOON, True, True)]
    register.note(["ann"], LATER)
    assert [(one.at, one.served, one.done) for one in register.users()] == [(LATER, False, False)]


def test_what_ends_late_says_nothing_of_a_user_who_was_noted_again_meanwhile(tmp_path):
    register = Register(tmp_path)
    who = register.note(["ann", "bob"], NOON)
    register.note(["ann"], LATER)
    register.set_done(who)
    assert sorted((one.at, one.done) for one in register.users()) == [(NOON, True), (LATER, False)]


def test_what_others_tell_again_is_nothing_new(tmp_path):
    register = Register(tmp_path)
    who = register.note(["ann"], LATER)
    register.set_done(who)
    before = register.users()
    for at in (NOON, LATER):
        register.note_hashes(dict.fromkeys(who.moments, at))
    assert register.users() == before


def test_servers_are_told_when_there_is_someone_more_to_forget_and_only_then(tmp_path):
    register, server = Register(tmp_path), Register(tmp_path)
    nobody = server.served()
    who = register.note(["ann"], NOON)
    assert server.served() == nobody
    register.set_served(who)
    told = server.served()
    assert told != nobody
    register.set_done(who)
    assert server.served() == told
    (tmp_path / REGISTER).write_text("{")
    assert server.served() == told


def test_a_key_that_is_gone_or_another_one_is_an_error_that_says_so(tmp_path):
    Register(tmp_path).note(["ann"], NOON)
    (tmp_path / KEY).rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"forgotten\.key: the key is missing"):
        Register(tmp_path).users()
    UserKey.of(tmp_path)
    with pytest.raises(DataError, match="put the key back that belongs to it"):
        Register(tmp_path).users()
    (tmp_path / KEY).write_text("00ff")
    with pytest.raises(DataError, match="found 2 bytes, expected 32"):
        Register(tmp_path).users()
    (tmp_path / KEY).write_text("no key")
    with pytest.raises(DataError, match="expected 64 hexadecimal digits"):
        Register(tmp_path).users()


def test_a_hash_depends_on_the_key_and_shorts_are_its_beginnings_in_order(tmp_path):
    one, other = UserKey(bytes(32)), UserKey(bytes(31) + b"1")
    assert one.hash("ann") == UserKey(bytes(32)).hash("ann") != other.hash("ann")
    assert one.name != other.name
    shorts = one.shorts(["ann", "bob", "ann"])
    assert shorts.tolist() == sorted(short_of(one.hash(user)) for user in ("ann", "bob"))


def note(root: Path, user: str) -> None:
    Register(root).note([user], NOON)


def test_processes_that_note_at_once_lose_nobody_and_agree_on_the_key(tmp_path):
    context = get_context("spawn")
    processes = [context.Process(target=note, args=(tmp_path, f"user-{nth}")) for nth in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    who = Register(tmp_path).all()
    assert who is not None
    assert len(who.among(f"user-{nth}" for nth in range(4))) == 4
