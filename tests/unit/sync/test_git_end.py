"""Ending a git process that we still wanted to write to."""

import subprocess

from gitops.sync.git import end


def test_ending_a_process_with_an_unsent_question_is_no_error() -> None:
    """Symptom: a master that stopped while a question to git was under way ended with BrokenPipeError."""
    process = subprocess.Popen(
        ["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(b"a question that is still in our buffer")

    end(process)

    assert process.poll() is not None
    assert process.stdin.closed
