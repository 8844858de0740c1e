"""The rules of one container, in Kubernetes' words, after defaulting. Source: Kubernetes, pkg/apis/core/validation."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gitops.kinds import names, quantity, wording
from gitops.kinds.core.containers import (
    Container,
    ContainerPort,
    EnvVar,
    Lifecycle,
    Probe,
    ResourceRequirements,
    VolumeMount,
)
from gitops.kinds.core.pod_types import is_sidecar
from gitops.kinds.kind import Problem

_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
_RESTART_ACTIONS: Final = ("Restart",)  # RestartAllContainers is off in the reference version, too.
RESTART_RULES_MAX: Final = 20
EXIT_CODES_MAX: Final = 255
_SCHEMES: Final = ("HTTP", "HTTPS")
_MESSAGE_POLICIES: Final = ("File", "FallbackToLogsOnError")
_RECURSIVE: Final = ("Disabled", "IfPossible", "Enabled")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "sleep")
_ENV_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ENV_FIELDS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)


def check_container(
    container: Container, volumes: frozenset[str], field: str, *, init: bool = False
) -> Iterator[Problem]:
    """Every broken rule of a container; `volumes` are the names that its mounts may use."""
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        yield wording.required(f"{field}.name")
    elif wrong := names.dns_label(name):
        yield wording.invalid(f"{field}.name", name, wrong)
    if not image:
        yield wording.required(f"{field}.image")
    elif image != image.strip():
        yield wording.invalid(f"{field}.image", image, "must not have leading or trailing whitespace")
    yield from wording.one_of(f"{field}.imagePullPolicy", container["imagePullPolicy"], _PULL_POLICIES)
    yield from wording.one_of(
        f"{field}.terminationMessagePolicy", container["terminationMessagePolicy"], _MESSAGE_POLICIES
    )
    yield from _check_ports(container.get("ports") or [], f"{field}.ports")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _check_env(variable, f"{field}.env[{index}]")
    yield from _check_env_from(container, f"{field}.envFrom")
    yield from _check_mounts(container, volumes, f"{field}.volumeMounts")
    yield from check_resources(container["resources"], f"{field}.resources")
    yield from _check_restart(container, field, init=init)
    if init and not is_sidecar(container):
        for extra in ("lifecycle", *_PROBES):
            if container.get(extra) is not None:
                yield wording.forbidden(
                    f"{field}.{extra}", "may not be set for init containers without restartPolicy=Always"
                )
        return
    yield from _check_probes(container, field)
    if lifecycle := container.get("lifecycle"):
        yield from _check_lifecycle(lifecycle, f"{field}.lifecycle")


def _check_restart(container: Container, field: str, *, init: bool) -> Iterator[Problem]:
    """A container's own policy, and its rules by exit code."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is not None:
        yield from wording.one_of(f"{field}.restartPolicy", policy, _RESTART_POLICIES)
    if rules and policy is None:
        why = "must specify restartPolicy when restart rules are used"
        yield wording.required(f"{field}.restartPolicy", why)
    if rules and init and is_sidecar(container):
        yield wording.forbidden(
            f"{field}.restartPolicyRules", "may not be set for sidecars: they always restart"
        )
    if len(rules) > RESTART_RULES_MAX:
        yield wording.invalid(
            f"{field}.restartPolicyRules", len(rules), f"must not have more than {RESTART_RULES_MAX} rules"
        )
    for index, rule in enumerate(rules):
        at = f"{field}.restartPolicyRules[{index}]"
        yield from wording.one_of(f"{at}.action", rule["action"], _RESTART_ACTIONS)
        codes = rule.get("exitCodes")
        if codes is None:
            yield wording.required(f"{at}.exitCodes", "must be specified")
            continue
        yield from wording.one_of(f"{at}.exitCodes.operator", codes["operator"], ("In", "NotIn"))
        if len(codes.get("values") or ()) > EXIT_CODES_MAX:
            yield wording.invalid(
                f"{at}.exitCodes.values", "", f"must not have more than {EXIT_CODES_MAX} values"
            )


def _check_ports(ports: list[ContainerPort], field: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at = f"{field}[{index}]"
        if name := port.get("name"):
            if wrong := names.port_name(name):
                yield wording.invalid(f"{at}.name", name, wrong)
            elif name in seen:
                yield wording.duplicate(f"{at}.name", name)
            seen.add(name)
        yield from wording.port(f"{at}.containerPort", port["containerPort"])
        if host_port := _raw(port).get("hostPort"):
            yield from wording.port(f"{at}.hostPort", host_port)
        yield from wording.one_of(f"{at}.protocol", port["protocol"], _PROTOCOLS)


def _check_env(variable: EnvVar, field: str) -> Iterator[Problem]:
    name = variable.get("name") or ""
    if not name:
        yield wording.required(f"{field}.name")
    elif wrong := names.env_name(name):
        yield wording.invalid(f"{field}.name", name, wrong)
    source = variable.get("valueFrom")
    if source is None:
        return
    at = f"{field}.valueFrom"
    given = [one for one in _ENV_SOURCES if _raw(source).get(one) is not None]
    if variable.get("value"):
        yield wording.invalid(at, "", "may not be specified when `value` is not empty")
    if not given:
        yield wording.invalid(
            at, "", f"must specify one of: {', '.join(f'`{one}`' for one in _ENV_SOURCES[:4])}"
        )
    if len(given) > 1:
        yield wording.invalid(at, "", "may not have more than one field specified at a time")
    if reference := source.get("fieldRef"):
        yield from _check_env_field(reference.get("fieldPath") or "", f"{at}.fieldRef.fieldPath")
    for one in ("configMapKeyRef", "secretKeyRef"):
        if (selector := _raw(source).get(one)) is not None:
            if not selector.get("key"):
                yield wording.required(f"{at}.{one}.key")
            elif wrong := names.config_key(selector["key"]):
                yield wording.invalid(f"{at}.{one}.key", selector["key"], wrong)


def _check_env_field(path: str, field: str) -> Iterator[Problem]:
    if not path:
        yield wording.required(field)
    elif path not in _ENV_FIELDS and not path.startswith(("metadata.labels['", "metadata.annotations['")):
        yield wording.unsupported(field, path, _ENV_FIELDS)


def _check_env_from(container: Container, field: str) -> Iterator[Problem]:
    for index, source in enumerate(container.get("envFrom") or ()):
        given = [one for one in ("configMapRef", "secretRef") if _raw(source).get(one) is not None]
        if (prefix := source.get("prefix")) and (wrong := names.env_name(prefix)):
            yield wording.invalid(f"{field}[{index}].prefix", prefix, wrong)
        if not given:
            yield wording.invalid(
                f"{field}[{index}]", "", "must specify one of: `configMapRef` or `secretRef`"
            )
        if len(given) > 1:
            yield wording.invalid(
                f"{field}[{index}]", "", "may not have more than one field specified at a time"
            )
        for one in given:
            if not _raw(source)[one].get("name"):
                yield wording.required(f"{field}[{index}].{one}.name")


def _check_mounts(container: Container, volumes: frozenset[str], field: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at, path = f"{field}[{index}]", mount.get("mountPath") or ""
        if not mount.get("name"):
            yield wording.required(f"{at}.name")
        elif mount["name"] not in volumes:
            yield wording.not_found(f"{at}.name", mount["name"])
        if not path:
            yield wording.required(f"{at}.mountPath")
        elif ":" in path:
            yield wording.invalid(f"{at}.mountPath", path, "must not contain ':'")
        elif path in seen:
            yield wording.invalid(f"{at}.mountPath", path, "must be unique")
        seen.add(path)
        yield from _check_recursive(mount, f"{at}.recursiveReadOnly")
        if mount.get("subPath") and mount.get("subPathExpr"):
            yield wording.invalid(
                f"{at}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
            )
        for one in ("subPath", "subPathExpr"):
            if sub_path := _raw(mount).get(one):
                yield from check_inner_path(sub_path, f"{at}.{one}")


def _check_recursive(mount: VolumeMount, field: str) -> Iterator[Problem]:
    recursive = mount.get("recursiveReadOnly") or "Disabled"
    yield from wording.one_of(field, recursive, _RECURSIVE)
    if recursive == "Disabled":
        return
    if not mount.get("readOnly"):
        yield wording.forbidden(field, "may only be specified when readOnly is true")
    if mount.get("mountPropagation", "None") != "None":
        yield wording.forbidden(field, "may only be specified when mountPropagation is None or not specified")


def check_inner_path(path: str, field: str) -> Iterator[Problem]:
    """A path that must stay inside its volume."""
    if path.startswith("/"):
        yield wording.invalid(field, path, "must be a relative path")
    if ".." in path.split("/"):
        yield wording.invalid(field, path, "must not contain '..'")


def check_resources(resources: ResourceRequirements, field: str) -> Iterator[Problem]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            yield from _check_amount(name, amount, f"{field}.{side}[{name}]")
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is None:
            if "/" in name:
                yield wording.required(
                    f"{field}.limits", "Limit must be set for non overcommitable resources"
                )
        elif _is_quantity(amount) and _is_quantity(limit):
            if "/" in name and quantity.compare(amount, limit):
                yield wording.invalid(
                    f"{field}.requests", amount, f"must be equal to {name} limit of {limit}"
                )
            elif quantity.compare(amount, limit) > 0:
                why = f"must be less than or equal to {name} limit of {limit}"
                yield wording.invalid(f"{field}.requests", amount, why)


def _check_amount(name: str, amount: str, field: str) -> Iterator[Problem]:
    if wrong := names.qualified_name(name):
        yield wording.invalid(field, name, wrong)
    elif (
        "/" not in name
        and name not in ("cpu", "memory", "ephemeral-storage")
        and not name.startswith("hugepages-")
    ):
        yield wording.invalid(field, name, "must be a standard resource for containers")
    try:
        value = quantity.parse(amount)
    except ValueError as error:
        yield wording.invalid(field, amount, str(error))
        return
    if value < 0:
        yield wording.invalid(field, amount, wording.NOT_NEGATIVE)
    if "/" in name and value != value.to_integral_value():
        yield wording.invalid(field, amount, "must be an integer")


def _is_quantity(amount: str) -> bool:
    try:
        quantity.parse(amount)
    except ValueError:
        return False
    return True


def _check_probes(container: Container, field: str) -> Iterator[Problem]:
    for name in _PROBES:
        probe: Probe | None = _raw(container).get(name)
        if probe is None:
            continue
        at = f"{field}.{name}"
        yield from _check_handler(probe, _PROBE_HANDLERS, at)
        for number in (
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ):
            yield from wording.not_negative(f"{at}.{number}", _raw(probe).get(number))
        grace = probe.get("terminationGracePeriodSeconds")
        if name == "readinessProbe":
            if grace is not None:
                why = "must not be set for readinessProbes"
                yield wording.invalid(f"{at}.terminationGracePeriodSeconds", grace, why)
        else:
            if probe["successThreshold"] != 1:
                yield wording.invalid(f"{at}.successThreshold", probe["successThreshold"], "must be 1")
            if grace is not None and grace <= 0:
                yield wording.invalid(f"{at}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def _check_lifecycle(lifecycle: Lifecycle, field: str) -> Iterator[Problem]:
    for name in ("postStart", "preStop"):
        hook = _raw(lifecycle).get(name)
        if hook is not None:
            yield from _check_handler(hook, _HOOK_HANDLERS, f"{field}.{name}")


def _check_handler(handler: object, kinds: tuple[str, ...], field: str) -> Iterator[Problem]:
    """A probe or a hook has exactly one of `kinds`."""
    action = _raw(handler)
    given = [one for one in kinds if action.get(one) is not None]
    if not given:
        yield wording.required(field, "must specify a handler type")
    for extra in given[1:]:
        yield wording.forbidden(f"{field}.{extra}", "may not specify more than 1 handler type")
    if (run := action.get("exec")) is not None and not run.get("command"):
        yield wording.required(f"{field}.exec.command")
    for one in ("httpGet", "tcpSocket"):
        if (target := action.get(one)) is not None:
            yield from _check_target_port(target["port"], f"{field}.{one}.port")
    if (grpc := action.get("grpc")) is not None:
        yield from wording.port(f"{field}.grpc.port", grpc["port"])
    if (http := action.get("httpGet")) is not None:
        yield from wording.one_of(f"{field}.httpGet.scheme", http["scheme"], _SCHEMES)


def _check_target_port(port: int | str, field: str) -> Iterator[Problem]:
    if isinstance(port, int):
        yield from wording.port(field, port)
    elif wrong := names.port_name(port):
        yield wording.invalid(field, port, wrong)


def _raw(value: object) -> Mapping[str, Any]:
    """A TypedDict as the JSON map that it is, for fields that are looked up by name."""
    assert isinstance(value, Mapping)
    return value
