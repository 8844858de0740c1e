"""The shape of a container in a pod: environment, ports, resources, probes, hooks (core/v1, API reference 1.35).

Required keys are those that are always there after defaulting. What Gitward does not act on yet is not listed, and is
reported because it is not; where a `Literal` names values, others than these are.
"""

from typing import Literal, NotRequired, TypedDict

from gitops.kinds.core.security import SecurityContext


class ConfigMapKeySelector(TypedDict):
    key: str
    name: NotRequired[str]
    optional: NotRequired[bool]


class SecretKeySelector(TypedDict):
    key: str
    name: NotRequired[str]
    optional: NotRequired[bool]


class ObjectFieldSelector(TypedDict):
    fieldPath: str
    apiVersion: NotRequired[str]


class ResourceFieldSelector(TypedDict):
    resource: str  # limits.cpu, requests.memory, …
    containerName: NotRequired[str]
    divisor: NotRequired[str]


class EnvVarSource(TypedDict):
    """Exactly one is there."""

    configMapKeyRef: NotRequired[ConfigMapKeySelector]
    secretKeyRef: NotRequired[SecretKeySelector]
    fieldRef: NotRequired[ObjectFieldSelector]
    resourceFieldRef: NotRequired[ResourceFieldSelector]


class EnvVar(TypedDict):
    name: str
    value: NotRequired[str]
    valueFrom: NotRequired[EnvVarSource]


class ConfigMapEnvSource(TypedDict):
    name: NotRequired[str]
    optional: NotRequired[bool]


class SecretEnvSource(TypedDict):
    name: NotRequired[str]
    optional: NotRequired[bool]


class EnvFromSource(TypedDict):
    prefix: NotRequired[str]
    configMapRef: NotRequired[ConfigMapEnvSource]
    secretRef: NotRequired[SecretEnvSource]


class ContainerPort(TypedDict):
    containerPort: int
    protocol: str  # TCP, UDP or SCTP.
    name: NotRequired[str]
    hostPort: NotRequired[int]  # Published on the node.
    hostIP: NotRequired[str]


class ResourceRequirements(TypedDict):
    limits: NotRequired[dict[str, str]]
    requests: NotRequired[dict[str, str]]


class ExecAction(TypedDict):
    command: NotRequired[list[str]]


class HTTPHeader(TypedDict):
    name: str
    value: str


class HTTPGetAction(TypedDict):
    port: int | str
    path: str
    scheme: str
    host: NotRequired[str]
    httpHeaders: NotRequired[list[HTTPHeader]]


class TCPSocketAction(TypedDict):
    port: int | str
    host: NotRequired[str]


class GRPCAction(TypedDict):
    port: int
    service: str  # As in grpc.health.v1's request; '': the server as a whole.


class SleepAction(TypedDict):
    seconds: int


class Probe(TypedDict):
    """Exactly one handler is there."""

    timeoutSeconds: int
    periodSeconds: int
    successThreshold: int
    failureThreshold: int
    initialDelaySeconds: NotRequired[int]
    terminationGracePeriodSeconds: NotRequired[int]
    exec: NotRequired[ExecAction]
    httpGet: NotRequired[HTTPGetAction]
    tcpSocket: NotRequired[TCPSocketAction]
    grpc: NotRequired[GRPCAction]


class LifecycleHandler(TypedDict):
    exec: NotRequired[ExecAction]
    httpGet: NotRequired[HTTPGetAction]
    tcpSocket: NotRequired[TCPSocketAction]
    sleep: NotRequired[SleepAction]


class Lifecycle(TypedDict):
    postStart: NotRequired[LifecycleHandler]
    preStop: NotRequired[LifecycleHandler]
    stopSignal: NotRequired[str]  # SIGUSR1, SIGRTMIN+3, … instead of the image's.


class VolumeMount(TypedDict):
    name: str
    mountPath: str
    readOnly: NotRequired[bool]
    subPath: NotRequired[str]
    subPathExpr: NotRequired[str]
    mountPropagation: NotRequired[Literal["None", "HostToContainer", "Bidirectional"]]
    recursiveReadOnly: NotRequired[Literal["Disabled", "IfPossible", "Enabled"]]


class ContainerResizePolicy(TypedDict):
    resourceName: Literal["cpu", "memory"]
    restartPolicy: Literal["NotRequired", "RestartContainer"]


class ContainerRestartRuleOnExitCodes(TypedDict):
    operator: Literal["In", "NotIn"]
    values: NotRequired[list[int]]


class ContainerRestartRule(TypedDict):
    action: Literal["Restart"]
    exitCodes: NotRequired[ContainerRestartRuleOnExitCodes]


class Container(TypedDict):
    name: str
    image: str
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"]
    resources: ResourceRequirements
    resizePolicy: NotRequired[list[ContainerResizePolicy]]
    terminationMessagePath: str
    terminationMessagePolicy: Literal["File", "FallbackToLogsOnError"]
    command: NotRequired[list[str]]
    args: NotRequired[list[str]]
    workingDir: NotRequired[str]
    env: NotRequired[list[EnvVar]]
    envFrom: NotRequired[list[EnvFromSource]]
    ports: NotRequired[list[ContainerPort]]
    volumeMounts: NotRequired[list[VolumeMount]]
    livenessProbe: NotRequired[Probe]
    readinessProbe: NotRequired[Probe]
    startupProbe: NotRequired[Probe]
    lifecycle: NotRequired[Lifecycle]
    securityContext: NotRequired[SecurityContext]
    restartPolicy: NotRequired[str]  # Instead of its pod's. `Always` makes an init container a sidecar.
    restartPolicyRules: NotRequired[list[ContainerRestartRule]]
    stdin: NotRequired[bool]
    stdinOnce: NotRequired[bool]
    tty: NotRequired[bool]


class EphemeralContainer(Container):
    """Added to a running pod to look into it."""

    targetContainerName: NotRequired[str]  # Whose processes it sees.
