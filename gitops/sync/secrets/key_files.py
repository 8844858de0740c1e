"""The operator's keys on disk, read at every look, so that a new key needs no restart. It blocks: for a thread."""

from pathlib import Path
from typing import Final

from gitops.kinds.errors import BadRequest, Unavailable
from gitops.kinds.sensitive import Sensitive
from gitops.sync.secrets.keys import read_identities
from gitops.sync.secrets.opening import Keyring
from gitops.sync.secrets.sealed_keys import FOLDER, read_keys, stamp_of

AGE_KEY_FILE: Final = "age.key"


class KeyFiles:
    """`age_key_file` None: age.key in the data directory, if it is there."""

    def __init__(self, data_dir: Path, age_key_file: Path | None) -> None:
        self._age, self._default = age_key_file, data_dir / AGE_KEY_FILE
        self._sealing = data_dir / FOLDER
        self._read: tuple[object, ...] = ()
        self._keyring = Keyring()

    def keyring(self) -> Keyring:
        """The same one, with what it remembers, until a key changes. BadRequest, Unavailable name the file."""
        identities = self._identities()
        try:
            stamp = stamp_of(self._sealing)
            if (identities, stamp) != self._read:
                self._keyring = Keyring(identities, read_keys(self._sealing))
                self._read = (identities, stamp)
        except OSError as error:
            raise Unavailable(f"{self._sealing}: {error.strerror}") from error
        return self._keyring

    def _identities(self) -> tuple[Sensitive, ...]:
        file = self._age or self._default
        try:
            return read_identities(file.read_text())
        except FileNotFoundError as error:
            if self._age is None:
                return ()
            raise BadRequest(f"{file}: the age key file is not there") from error
        except OSError as error:
            raise Unavailable(f"{file}: {error.strerror}") from error
        except (BadRequest, UnicodeDecodeError) as error:
            raise BadRequest(f"{file}: {error}") from error
