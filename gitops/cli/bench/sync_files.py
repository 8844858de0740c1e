"""The manifests of `bench sync`."""

from typing import Final

FEW: Final = 100
FOLDER: Final = 10  # Manifests in a folder.
_FILLER: Final = "".join(
    f"  key-{number:02}: a value of about forty characters, {number}\n" for number in range(18)
)


def manifests(total: int) -> dict[str, str]:
    """ConfigMaps of about 1 KB, ten to a folder."""
    return {_path(number): _config_map(number, 0) for number in range(total)}


def changed_manifest(number: int) -> dict[str, str]:
    """One of the first FEW, changed."""
    which = number % FEW
    return {_path(which): _config_map(which, number + 1)}


def app_files(apps: int) -> dict[str, str]:
    """For each app a Deployment without replicas, a ServiceAccount, a Service and an Ingress."""
    return {f"apps/app-{number:04}/app.yaml": _app(f"app-{number:04}") for number in range(apps)}


def broken(number: int) -> dict[str, str]:
    """An app of `app_files` with a field that does not exist."""
    name = f"app-{number:04}"
    return {f"apps/{name}/app.yaml": _app(name).replace("  replicas: 0\n", "  replica: 0\n")}


def _path(number: int) -> str:
    return f"team-{number // FOLDER:04}/settings-{number:05}.yaml"


def _config_map(number: int, version: int) -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings-{number:05}\n  labels: {{app: bench}}\n"
        f"data:\n  version: '{version}'\n{_FILLER}"
    )


def _app(name: str) -> str:
    return f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: default
      containers:
        - name: web
          image: registry.example.com/{name}:1
          ports: [{{containerPort: 8080}}]
          resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}}}
spec:
  rules:
    - host: {name}.example.com
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}
"""
