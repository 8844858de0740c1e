"""The shop's two images, made from scratch around a static busybox: nothing is pulled from anywhere."""

import io
import tarfile
from pathlib import Path
from typing import Final

import docker

BUSYBOX: Final = Path("/bin/busybox")
APPLETS: Final = (
    "awk", "cat", "cp", "date", "echo", "env", "grep", "head", "hostname", "httpd", "kill", "ls", "mkdir", "mv",
    "nslookup", "ps", "rm", "sed", "seq", "sh", "sleep", "tail", "test", "touch", "tr", "true", "wget",
)  # fmt: skip

WEB: Final = r"""#!/bin/sh
# Serves the pages of a ConfigMap, and which version answered.
trap 'exit 0' TERM
mkdir -p /www && cp /pages/* /www/
echo "version $VERSION from $HOSTNAME" > /www/version
httpd -f -p 8080 -h /www &
wait
"""
API: Final = r"""#!/bin/sh
trap 'exit 0' TERM
httpd -f -p 8081 -h /data &
wait
"""
CATALOG: Final = r"""#!/bin/sh
# The sidecar: writes what the API serves, from encrypted prices, with a password that it never shows.
trap 'exit 0' TERM
while true; do
  access=$([ -n "$DATABASE_PASSWORD" ] && echo granted || echo denied)
  prices="\"tea\": $(cat /prices/tea), \"cups\": $(cat /prices/cups)"
  echo "{\"pod\": \"$POD_NAME\", \"database\": \"$access\", $prices}" > /data/api/.new
  mv /data/api/.new /data/api/products.json
  sleep 1 &
  wait $!
done
"""
IMAGES: Final = {
    "gitward.example/shop-web": {"bin/web": WEB},
    "gitward.example/shop-api": {"bin/api": API, "bin/catalog": CATALOG},
}


def load(engine: docker.DockerClient, *, tag: str = "1.0") -> None:
    """Put both images into the engine. Repeating it gives the same files."""
    for name, scripts in IMAGES.items():
        command = "/" + next(iter(scripts))
        engine.api.import_image_from_data(
            _root(scripts), repository=name, tag=tag, changes=[f'CMD ["{command}"]', "ENV PATH=/bin"]
        )


def _root(scripts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "tmp", "data", "pages", "etc", "www", "prices"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        _add(tar, "bin/busybox", BUSYBOX.read_bytes())
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for path, text in scripts.items():
            _add(tar, path, text.encode())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))
