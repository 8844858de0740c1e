"""A real repository with a remote: commits are made as people make them."""

import subprocess
from pathlib import Path


class Repository:
    """`remote` is bare; `clone` is where someone works."""

    def __init__(self, folder: Path) -> None:
        self.remote, self.clone = folder / "shop.git", folder / "clone"
        _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        _git(folder, "clone", "--quiet", self.url, str(self.clone))

    @property
    def url(self) -> str:
        return f"file://{self.remote}"

    def commit(self, message: str, **files: str) -> str:
        """The files `name.yaml` and their content; pushed. The full id."""
        for name, content in files.items():
            (self.clone / f"{name}.yaml").write_text(content)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        return _git(self.clone, *arguments)

    def pushed(self, what: str) -> str:
        """Of the remote's main: `%s`, `%b`, as `git log --format` has it."""
        return _git(self.remote, "log", "-1", f"--format={what}", "main")

    def pushed_file(self, name: str) -> str:
        return _git(self.remote, "show", f"main:{name}.yaml")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
