"""A container's environment, command and arguments: service variables, envFrom, env, each with `$(VAR)` expanded. Pure.

A Secret given as an environment variable is visible to whoever may ask the engine; only a volume keeps it on tmpfs.
Source: kubernetes/pkg/kubelet (`makeEnvironmentVariables`), third_party/forked/golang/expansion, pkg/kubelet/envvars.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.volumes.downward import Surroundings, field_value, resource_value
from agent.volumes.expansion import expand
from agent.volumes.references import Lookup, Reference, value_of, values_of
from gitops.kinds.core.pod import Container, EnvVar, EnvVarSource, Pod
from gitops.kinds.core.service import Service


class World(NamedTuple):
    """What an environment is made from, besides the pod. `services`: all that the node knows."""

    lookup: Lookup
    services: Iterable[Service]
    around: Surroundings


def environment(pod: Pod, container: Container, world: World) -> Mapping[str, str]:
    """Name -> value. Raises NotFound for a required ConfigMap, Secret or key that is absent, in Kubernetes' words."""
    namespace = pod["metadata"].get("namespace", "")
    links = service_links(world.services, namespace, every=pod["spec"].get("enableServiceLinks", True))
    found: dict[str, str] = {}
    for each in container.get("envFrom", ()):
        prefix = each.get("prefix", "")
        if "configMapRef" in each:
            ref, optional = each["configMapRef"], each["configMapRef"].get("optional", False)
            values = values_of(
                world.lookup, Reference("ConfigMap", namespace, ref.get("name", "")), optional=optional
            )
        elif "secretRef" in each:
            secret, optional = each["secretRef"], each["secretRef"].get("optional", False)
            values = values_of(
                world.lookup, Reference("Secret", namespace, secret.get("name", "")), optional=optional
            )
        else:
            continue
        found |= {
            prefix + key: value.decode(errors="replace")
            for key, value in values.items()
            if _is_name(prefix + key)
        }
    for variable in container.get("env", ()):
        value = _value(pod, container, variable, world, links | found)
        if value is not None:
            found[variable["name"]] = value
    return links | found


def _is_name(name: str) -> bool:
    return bool(name) and "=" not in name and name.isprintable()


def _value(
    pod: Pod, container: Container, variable: EnvVar, world: World, earlier: Mapping[str, str]
) -> str | None:
    source = variable.get("valueFrom")
    if source is None:
        return expand(variable.get("value", ""), earlier)
    return _value_from(pod, container, source, world)


def _value_from(pod: Pod, container: Container, source: EnvVarSource, world: World) -> str | None:
    """None: an optional key that is absent. The variable is then not set at all."""
    namespace = pod["metadata"].get("namespace", "")
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], world.around)
    if "resourceFieldRef" in source:
        return resource_value(pod, container, source["resourceFieldRef"], world.around)
    if "configMapKeyRef" in source:
        config = source["configMapKeyRef"]
        where = Reference("ConfigMap", namespace, config.get("name", ""))
        value = value_of(world.lookup, where, config["key"], optional=config.get("optional", False))
    elif "secretKeyRef" in source:
        secret = source["secretKeyRef"]
        where = Reference("Secret", namespace, secret.get("name", ""))
        value = value_of(world.lookup, where, secret["key"], optional=secret.get("optional", False))
    else:
        return ""
    return value.decode(errors="replace") if value is not None else None


def service_links(services: Iterable[Service], namespace: str, *, every: bool) -> dict[str, str]:
    """Docker's old link variables for the services of a namespace; `every=False`: those of `kubernetes` alone."""
    links: dict[str, str] = {}
    for service in services:
        meta, address = service["metadata"], service["spec"].get("clusterIP", "")
        master = (meta.get("namespace"), meta.get("name")) == ("default", "kubernetes")
        ours = every and meta.get("namespace") == namespace
        ports = service["spec"].get("ports", ())
        if not address or address == "None" or not ports or not (master or ours):
            continue
        name = _upper(meta.get("name", ""))
        links[f"{name}_SERVICE_HOST"] = address
        links[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        links[f"{name}_PORT"] = f"{ports[0]['protocol'].lower()}://{address}:{ports[0]['port']}"
        for port in ports:
            number, protocol = port["port"], port["protocol"]
            if "name" in port:
                links[f"{name}_SERVICE_PORT_{_upper(port['name'])}"] = str(number)
            prefix = f"{name}_PORT_{number}_{protocol.upper()}"
            links[prefix] = f"{protocol.lower()}://{address}:{number}"
            links[f"{prefix}_PROTO"] = protocol.lower()
            links[f"{prefix}_PORT"] = str(number)
            links[f"{prefix}_ADDR"] = address
    return links


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
