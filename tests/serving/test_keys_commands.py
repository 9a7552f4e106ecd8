import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.keys import ShownKey, StoredKey
from serving.keys_commands import NoSuchKeyError, keys
from serving.keys_file import KeysFile

TOML = """
name = "shop"
[source]
interactions = "interactions.csv"
[interaction_types]
click = { label = true }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "recsys.toml").write_text(TOML)
    return tmp_path


def run(project: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        keys, [command, "--config", str(project / "recsys.toml"), *arguments], catch_exceptions=False
    )


def created(project: Path, *arguments: str) -> ShownKey:
    result = run(project, "create", "--name", "shop", "--scope", "rank", *arguments)
    assert result.exit_code == 0, result.output
    shown = ShownKey.parse(result.stdout.strip())
    assert shown is not None
    return shown


def kept(project: Path) -> dict[str, StoredKey]:
    return {key.key_id: key for key in KeysFile(project / "keys.json").read()}


def test_create_prints_the_key_once_and_keeps_what_opens_with_it(project):
    shown = created(project, "--scope", "ingest", "--expires-days", "30", "--burst", "7", "--max-candidates", "200")
    (key,) = kept(project).values()
    assert key.opens_with(shown.secret)
    assert (key.name, key.scopes, key.limits.burst, key.limits.max_candidates) == ("shop", ("rank", "ingest"), 7, 200)
    assert key.expires_at - key.created_at == timedelta(days=30)
    assert shown.secret not in (project / "keys.json").read_text()


def test_a_scope_that_there_is_not_is_refused(project):
    result = run(project, "create", "--name", "shop", "--scope", "everything")
    assert result.exit_code == 2
    assert "'rank', 'ingest', 'admin', 'metrics'" in result.output


def test_list_says_who_has_which_key_and_shows_none(project):
    assert "no keys; make one with" in run(project, "list").output
    shown = created(project)
    listed = run(project, "list").output
    assert re.fullmatch(rf"{shown.key_id}  valid +rank +for ever +shop\n", listed)
    (key,) = kept(project).values()
    for secret in (shown.secret, key.digest, key.salt):
        assert secret not in listed


def test_rotate_makes_a_successor_like_it_and_both_are_valid_until_the_old_one_expires(project):
    old = created(project, "--burst", "7")
    result = run(project, "rotate", old.key_id, "--overlap-days", "2")
    new = ShownKey.parse(result.stdout.strip())
    assert new is not None
    before, after = kept(project).values()
    assert after.opens_with(new.secret)
    assert (after.succeeds, after.name, after.scopes, after.limits) == (old.key_id, "shop", ("rank",), before.limits)
    now = datetime.now(UTC)
    assert (before.state(now), after.state(now)) == ("valid", "valid")
    later = now + timedelta(days=2)
    assert (before.state(later), after.state(later)) == ("expired", "valid")
    assert f"shop  successor of {old.key_id}" in run(project, "list").output


def test_rotate_never_makes_the_old_one_last_longer(project):
    old = created(project, "--expires-days", "1")
    ends = kept(project)[old.key_id].expires_at
    run(project, "rotate", old.key_id, "--overlap-days", "7")
    assert kept(project)[old.key_id].expires_at == ends


def test_revoke_ends_a_key_at_once_and_a_revoked_one_has_no_successor(project):
    shown = created(project)
    assert run(project, "revoke", shown.key_id).output == f"{shown.key_id} is revoked\n"
    when = kept(project)[shown.key_id].revoked_at
    run(project, "revoke", shown.key_id)
    assert kept(project)[shown.key_id].revoked_at == when
    assert "revoked" in run(project, "list").output
    with pytest.raises(NoSuchKeyError, match="the key is revoked; make a new one"):
        run(project, "rotate", shown.key_id)


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_an_id_that_there_is_not_is_refused_without_repeating_what_might_be_a_key(project, command):
    shown = created(project)
    with pytest.raises(NoSuchKeyError) as error:
        run(project, command, f"recsys_{shown.key_id}_{shown.secret}")
    assert "expected 16 hexadecimal digits" in str(error.value)
    assert shown.secret not in str(error.value)
    assert len(kept(project)) == 1
