"""`gitward backup` and `gitward restore`: the store of a data directory, as one file.

The file holds no key: without `keys/store.key` the secrets in it stay closed, so the two are kept apart.
"""

from pathlib import Path

from gitops.master import KEY_FILE, STORE_FILE
from gitops.store.sqlite_backup import back_up, restore


def run_backup(data_dir: Path, file: Path) -> None:
    """Raises StoreUnusable: nothing to back up, the file exists, or a disk refuses."""
    copied = back_up(data_dir / STORE_FILE, file)
    print(
        f"{file}: revision {copied.revision}, {copied.size_bytes:,} bytes; its secrets are sealed: keep apart from it"
    )
    print(f"  {data_dir / KEY_FILE}  opens them")
    print(f"  {data_dir / 'pki'}  is the cluster's identity")


def run_restore(data_dir: Path, file: Path) -> None:
    """Raises StoreUnusable: a master runs there, or the file or the key is not the right one."""
    restored = restore(file, data_dir / STORE_FILE, data_dir / KEY_FILE)
    print(
        f"{data_dir / STORE_FILE}: restored; it goes on at revision {restored.revision}; start `gitward up`"
    )
