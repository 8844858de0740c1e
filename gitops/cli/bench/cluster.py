"""A cluster of its own for a benchmark or a test: a repository, a data directory, `gitward up`, and a signed hook."""

import hmac
import http.client
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Unavailable

GITWARD: Final = (sys.executable, "-m", "gitops.cli.main")
API_PORT: Final = 16443
WEBHOOK_PORT: Final = 18180
HTTP_PORT: Final = 18080
HTTPS_PORT: Final = 18443
READY_SECONDS: Final = 120
STOP_SECONDS: Final = 60


class Cluster:
    """`gitward up` over a folder of its own. Hooks alone cause looks: the timer is set to an hour.

    Attributes:
        repo: a git clone, branch main, which the cluster follows.
        flags: what `up` is started with; a test may change them between two starts.
    """

    def __init__(self, folder: Path, flags: Mapping[str, str] | None = None) -> None:
        self.folder, self.repo, self.data_dir = folder, folder / "repo", folder / "data"
        self.log = folder / "log"
        self.secret = secrets.token_hex(16).encode()
        self.repo.mkdir()
        self.data_dir.mkdir(mode=0o700)
        (folder / "secret").write_bytes(self.secret)
        git(self.repo, "init", "--quiet", "--initial-branch", "main")
        git(self.repo, "config", "user.name", "Gitward")
        git(self.repo, "config", "user.email", "gitward@example.com")
        self.flags = {
            "repo": f"file://{self.repo}",
            "interval": "1h",
            "data-dir": str(self.data_dir),
            "listen": f"127.0.0.1:{API_PORT}",
            "webhook-listen": f"127.0.0.1:{WEBHOOK_PORT}",
            "webhook-secret-file": str(folder / "secret"),
            "ingress-http": f"127.0.0.1:{HTTP_PORT}",
            "ingress-https": f"127.0.0.1:{HTTPS_PORT}",
            **(flags or {}),
        }
        self.process: subprocess.Popen[str] | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "admin.kubeconfig"

    def start(self) -> None:
        """Until it says ready. Raises Unavailable with the log's last words."""
        command = [*GITWARD, "up", *(f"--{name}={value}" for name, value in self.flags.items())]
        with self.log.open("a") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        if not self.process.stdout.readline().startswith("ready"):
            self.process.kill()
            raise Unavailable(f"gitward up did not become ready:\n{self.log.read_text()[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=STOP_SECONDS)

    def down(self) -> str:
        """`gitward down`: its output."""
        return self.gitward("down", "--data-dir", str(self.data_dir))

    def gitward(self, *arguments: str, cwd: Path | None = None) -> str:
        """A command's output. Raises Unavailable with its words if it fails."""
        done = subprocess.run([*GITWARD, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
        if done.returncode:
            raise Unavailable(
                f"gitward {' '.join(arguments)}: exit code {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done.stdout

    def sync(self, *, wait: bool = True) -> str:
        """`gitward sync --wait`."""
        return self.gitward("sync", *(("--wait",) if wait else ()), "--kubeconfig", str(self.kubeconfig))

    def commit(self, files: Mapping[str, str | None], message: str) -> str:
        """Write (None: remove) and commit; the full id. The files that are not named stay."""
        for name, text in files.items():
            path = self.repo / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        git(self.repo, "add", "--all")
        git(self.repo, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.repo, "rev-parse", "HEAD").strip()

    def hook(self) -> None:
        """Send a signed hook; Unavailable if it is not accepted."""
        port = int(self.flags["webhook-listen"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        signature = hmac.new(self.secret, b"", "sha256").hexdigest()
        connection.request("POST", "/hooks/generic", headers={"X-Signature": f"sha256={signature}"})
        answer = connection.getresponse()
        connection.close()
        if answer.status != 202:
            raise Unavailable(f"the hook was answered with {answer.status}")


@contextmanager
def running_cluster(flags: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A started one with an empty first commit; stopped, and removed with `gitward down`, at the end."""
    with tempfile.TemporaryDirectory(prefix="gitward-cluster.") as folder:
        cluster = Cluster(Path(folder), flags)
        cluster.commit({}, "start")
        cluster.start()
        try:
            yield cluster
        finally:
            if cluster.process is not None and cluster.process.poll() is None:
                cluster.stop()
            cluster.down()


def git(folder: Path, *arguments: str) -> str:
    """git's output; CalledProcessError with its words otherwise."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout
