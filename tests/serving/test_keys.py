import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import msgspec

from serving.keys import DECOY, ShownKey, make_key

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_key_has_256_random_bits_and_its_secret_is_not_kept():
    text, kept = make_key("shop", ("rank",), now=NOW)
    shown = ShownKey.parse(text)
    assert shown is not None
    assert (shown.key_id, len(bytes.fromhex(shown.secret))) == (kept.key_id, 32)
    assert shown.secret not in msgspec.json.encode(kept).decode()
    others = {make_key("shop", ("rank",), now=NOW)[0] for _ in range(100)}
    assert len(others | {text}) == 101


def test_what_is_kept_is_the_hmac_of_the_secret_under_a_salt_of_its_own():
    made = [make_key("shop", ("rank",), now=NOW) for _ in range(2)]
    for text, kept in made:
        secret = text.rpartition("_")[2]
        assert kept.digest == hmac.new(bytes.fromhex(kept.salt), secret.encode(), hashlib.sha256).hexdigest()
    assert made[0][1].salt != made[1][1].salt


def test_a_key_opens_with_its_secret_alone():
    text, kept = make_key("shop", ("rank",), now=NOW)
    secret = text.rpartition("_")[2]
    assert kept.opens_with(secret)
    assert not kept.opens_with(secret[:-1] + ("0" if secret[-1] != "0" else "1"))
    assert not kept.opens_with("")
    assert not DECOY.opens_with(secret)


def test_the_comparison_takes_as_long_for_a_wrong_secret(monkeypatch):
    compared = []
    monkeypatch.setattr("serving.keys.hmac.compare_digest", lambda found, kept: compared.append((found, kept)))
    _, kept = make_key("shop", ("rank",), now=NOW)
    kept.opens_with("0" * 64)
    assert [pair[1] for pair in compared] == [kept.digest]


def test_a_key_is_valid_until_it_expires_or_is_revoked():
    _, kept = make_key("shop", ("rank",), now=NOW, expires_at=NOW + timedelta(days=1))
    assert kept.state(NOW) == "valid"
    assert kept.state(NOW + timedelta(days=1)) == "expired"
    assert msgspec.structs.replace(kept, revoked_at=NOW).state(NOW) == "revoked"


def test_text_that_is_no_key_is_none_and_a_shown_key_prints_without_its_secret():
    text, kept = make_key("shop", ("rank",), now=NOW)
    for wrong in ("", text[:-1], text + "0", f" {text}", text.upper(), text.replace("_", "-")):
        assert ShownKey.parse(wrong) is None
    assert repr(ShownKey.parse(text)) == str(ShownKey.parse(text)) == f"ShownKey({kept.key_id})"
