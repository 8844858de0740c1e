"""A cluster of its own for a benchmark: a repository, a data directory, `gitward up`, and a signed hook."""

import http.client
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Unavailable

GITWARD: Final = (sys.executable, "-m", "gitops.cli.main")
WEBHOOK_PORT: Final = 18180
API_PORT: Final = 16443
STOP_SECONDS: Final = 60


@dataclass(frozen=True)
class Cluster:
    """A running `gitward up` that follows `repo` and hears hooks."""

    repo: Path
    data_dir: Path
    secret: bytes

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "admin.kubeconfig"

    def commit(self, files: dict[str, str], message: str) -> str:
        """Write and commit; the full id. The files that are not named stay."""
        for name, text in files.items():
            (self.repo / name).write_text(text)
        git(self.repo, "add", "--all")
        git(self.repo, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.repo, "rev-parse", "HEAD").strip()

    def hook(self) -> None:
        """Send a signed hook; Unavailable if it is not accepted."""
        import hmac

        connection = http.client.HTTPConnection("127.0.0.1", WEBHOOK_PORT, timeout=10)
        signature = hmac.new(self.secret, b"", "sha256").hexdigest()
        connection.request("POST", "/hooks/generic", headers={"X-Signature": f"sha256={signature}"})
        answer = connection.getresponse()
        connection.close()
        if answer.status != 202:
            raise Unavailable(f"the hook was answered with {answer.status}")


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Until ready; removed with `gitward down` at the end. Hooks alone cause looks: the timer is set to an hour."""
    with tempfile.TemporaryDirectory(prefix="gitward-bench.") as folder:
        cluster = Cluster(Path(folder) / "repo", Path(folder) / "data", secrets.token_hex(16).encode())
        cluster.repo.mkdir()
        cluster.data_dir.mkdir(mode=0o700)
        git(cluster.repo, "init", "--quiet", "--initial-branch", "main")
        git(cluster.repo, "config", "user.name", "Bench")
        git(cluster.repo, "config", "user.email", "bench@example.com")
        cluster.commit(
            {"namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: bench}\n"}, "start"
        )
        secret_file = Path(folder) / "secret"
        secret_file.write_bytes(cluster.secret)
        log = Path(folder) / "log"
        process = _up(cluster, secret_file, log)
        try:
            yield cluster
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=STOP_SECONDS)
            subprocess.run(
                [*GITWARD, "down", "--data-dir", str(cluster.data_dir)], check=True, stdout=sys.stderr
            )


def _up(cluster: Cluster, secret_file: Path, log: Path) -> subprocess.Popen[str]:
    flags = {
        "repo": f"file://{cluster.repo}",
        "interval": "1h",
        "data-dir": str(cluster.data_dir),
        "listen": f"127.0.0.1:{API_PORT}",
        "webhook-listen": f"127.0.0.1:{WEBHOOK_PORT}",
        "webhook-secret-file": str(secret_file),
        "ingress-http": "127.0.0.1:18080",
        "ingress-https": "127.0.0.1:18443",
    }
    command = [*GITWARD, "up", *(f"--{name}={value}" for name, value in flags.items())]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(os.environ)
        )
    assert process.stdout is not None
    if not process.stdout.readline().startswith("ready"):
        process.kill()
        raise Unavailable(f"gitward up did not become ready:\n{log.read_text()[-2000:]}")
    return process


def git(folder: Path, *arguments: str) -> str:
    """git's output; CalledProcessError with its words otherwise."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout
