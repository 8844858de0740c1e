"""A renderer's own words: short, in one line, harmless to a terminal, and without what they quote of a Secret."""

from base64 import b64encode

from gitops.sync.render.words import refusal, secrets_of, warnings


def test_the_error_is_told_without_its_prefix_and_without_warnings() -> None:
    errors = b"# Warning: 'bases' is deprecated.\nerror: accumulating resources: no such file\n"

    assert refusal(errors, ()) == "accumulating resources: no such file"
    assert warnings(errors, ()) == ["'bases' is deprecated."]


def test_several_lines_become_one_and_log_lines_their_message() -> None:
    assert refusal(b"Error: template: x\n\n  use --debug\n", ()) == "template: x use --debug"
    assert warnings(b'level=WARN msg="no exact version"\n', ()) == ["no exact version"]


def test_helms_advice_to_use_a_flag_that_nobody_here_can_give_is_left_out() -> None:
    errors = b"Error: a.yaml:6: not defined\n\nUse --debug flag to render out invalid YAML\n"

    assert refusal(errors, ()) == "a.yaml:6: not defined"


def test_nothing_said_is_told_too() -> None:
    assert refusal(b"", ()) == "no reason given"


def test_control_characters_are_shown() -> None:
    assert refusal(b"error: \x1b[2Jx\xff", ()) == "\\x1b[2Jx\ufffd"


def test_a_long_text_is_cut() -> None:
    assert len(refusal(b"error: " + b"x" * 100_000, ())) == 1_000


def test_secrets_are_hidden_longest_first_and_short_ones_are_words() -> None:
    text = refusal(b"error: a canary-12 and canary-1 of yes", ["canary-1", "canary-12", "yes"])

    assert text == "a <sensitive> and <sensitive> of yes"


def test_what_is_secret_in_a_document() -> None:
    secret = {
        "kind": "Secret",
        "data": {"a": b64encode(b"canary").decode(), "n": 1},
        "stringData": {"b": "plain"},
    }
    generator = {"secretGenerator": [{"literals": ["password=canary-2"]}, "no mapping"]}

    assert list(secrets_of(secret)) == ["Y2FuYXJ5", "canary", "plain"]
    assert list(secrets_of(generator)) == ["password=canary-2", "canary-2"]
    assert list(secrets_of({"kind": "ConfigMap", "data": {"a": "b"}})) == []
    assert list(secrets_of(["x"])) == []
