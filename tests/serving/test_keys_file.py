import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.errors import DataError
from serving.keys import StoredKey, make_key
from serving.keys_file import KeysFile, LiveKeys

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def a_key(name: str = "shop") -> StoredKey:
    return make_key(name, ("rank",), now=NOW)[1]


@pytest.fixture
def file(tmp_path: Path) -> KeysFile:
    return KeysFile(tmp_path / "keys.json")


def test_where_there_is_no_file_there_are_no_keys(file):
    assert file.read() == ()


def test_what_is_written_is_read_and_only_the_owner_may_read_it(file):
    first, second = a_key("first"), a_key("second")
    file.change(lambda keys: [*keys, first])
    file.change(lambda keys: [*keys, second])
    assert file.read() == (first, second)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "keys.json: Input data was truncated; expected what `recsys keys` writes"),
        ('{"format": 1, "keys": [{}]}', "missing required field"),
        ('{"format": 2, "keys": []}', "the format is 2, this recsys reads 1; update recsys"),
    ],
)
def test_a_file_that_is_something_else_is_refused(file, content, message):
    file.path.write_text(content)
    file.path.chmod(0o600)
    with pytest.raises(DataError, match=message):
        file.read()


def test_a_file_that_others_may_write_is_refused(file):
    file.change(lambda keys: [a_key()])
    file.path.chmod(0o620)
    with pytest.raises(DataError, match=r"the mode is 0620, others may write .* chmod 600"):
        file.read()
    file.path.chmod(0o644)
    assert len(file.read()) == 1


def test_processes_that_change_it_at_once_lose_no_key(file):
    code = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from serving.keys import make_key; from serving.keys_file import KeysFile\n"
        "for n in range(20):\n"
        "    key = make_key('k', ('rank',), now=datetime.now(UTC))[1]\n"
        "    KeysFile(Path(sys.argv[1])).change(lambda keys: [*keys, key])\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(file.path)], cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len({key.key_id for key in file.read()}) == 60


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_server_follows_a_change_within_a_second_and_looks_no_oftener(file, caplog):
    clock, first, second = Clock(), a_key(), a_key()
    file.change(lambda keys: [first])
    live = LiveKeys(file, clock=clock)
    file.change(lambda keys: [*keys, second])
    clock.now = 0.9
    live.follow()
    assert live.get(second.key_id) is None
    clock.now = 1.0
    live.follow()
    assert live.get(second.key_id) == second
    assert len(live) == 2
    assert "keys.json has changed: it has 2 keys now" in caplog.text


def test_a_file_that_cannot_be_used_leaves_the_keys_as_they_were_and_is_told_once(file, caplog):
    clock, key = Clock(), a_key()
    file.change(lambda keys: [key])
    live = LiveKeys(file, clock=clock)
    file.path.write_text("{")
    for clock.now in (1.0, 2.0, 3.0):
        live.follow()
    assert live.get(key.key_id) == key
    assert len(caplog.messages) == 1
    assert "cannot be read" in caplog.messages[0]


def test_a_file_that_is_gone_holds_no_key(file):
    clock, key = Clock(), a_key()
    file.change(lambda keys: [key])
    live = LiveKeys(file, clock=clock)
    file.path.unlink()
    clock.now = 1.0
    live.follow()
    assert len(live) == 0
