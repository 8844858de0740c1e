"""Files into objects: what is stated, what is ignored, and what holds an app back, each with its line."""

from collections.abc import Mapping

import pytest

from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Document
from gitops.sync.compile import Compiled, File, compile_files
from gitops.sync.render.parse import Parsed, field_lines, parse
from gitops.sync.secrets.places import BadField

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        {image}: nginx:1
"""


def compiled(**texts: str) -> Compiled:
    files = {name.replace("__", "/") + ".yaml": text.encode() for name, text in texts.items()}

    def lines(file: str, index: int) -> Mapping[str, int]:
        return field_lines(files[file], index)

    return compile_files([File(path, parse(content)) for path, content in files.items()], no_key, lines)


def no_key(parsed: Parsed) -> list[Document]:
    if parsed.sealed is not None:
        raise BadField(0, "", "there is no key")
    return list(parsed.documents)


def test_an_object_is_stated_as_it_stands_and_not_defaulted() -> None:
    result = compiled(web=DEPLOYMENT.format(replicas=2, image="image"))

    assert result.problems == ()
    (stated,) = result.objects
    assert str(stated.key) == "Deployment.apps shop/web"
    assert (stated.file, stated.line) == ("web.yaml", 1)
    assert "strategy" not in stated.obj["spec"]  # type: ignore[typeddict-item] # A Deployment has one.


def test_a_namespace_is_filled_in_but_not_for_cluster_scoped_kinds() -> None:
    result = compiled(
        a="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}",
        b="apiVersion: v1\nkind: Namespace\nmetadata: {name: b}",
    )

    assert [str(one.key) for one in result.objects] == ["ConfigMap default/a", "Namespace b"]


def test_what_a_server_sets_and_nulls_are_left_out() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  uid: x\n  resourceVersion: '1'\n  labels: null\n"
    text += "  creationTimestamp: null\ndata: {a: null, b: c}\nstatus: {x: 1}\n"

    (stated,) = compiled(a=text).objects

    assert stated.obj == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "default"},
        "data": {"b": "c"},
    }


WEB = "Deployment.apps shop/web"
PROBLEMS: dict[str, tuple[str, str]] = {
    "a wrong type": (DEPLOYMENT.format(replicas="three", image="image"), f"f.yaml:7: {WEB}: spec.replicas"),
    "an unknown field": (DEPLOYMENT.format(replicas=1, image="imag"), f"f.yaml:14: {WEB}: unknown field"),
    "a range": (DEPLOYMENT.format(replicas=-1, image="image"), f"f.yaml:7: {WEB}: spec.replicas"),
    "no name": ("apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}", "f.yaml:3: metadata.name: Required value"),
    "a generated name": ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a}", "f.yaml:3: metadata.generateName:"),
    "a hook's generated name": (
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: a\n  annotations: {argocd.argoproj.io/hook: Sync}",
        "f.yaml:4: metadata.generateName: an object in git needs a name of its own: state metadata.name; hooks are not "
        "run, so with a name it is applied once, with all else",
    ),
    "no version": (
        "kind: NetworkPolicy\nmetadata: {name: a}",
        "f.yaml:1: apiVersion: Required value: NetworkPolicy is of networking.k8s.io/v1",
    ),
    "ephemeral containers": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: [{name: a, image: b}]\n"
        "  ephemeralContainers: [{name: c, image: d}]",
        "f.yaml:6: Pod default/a: spec.ephemeralContainers: Forbidden: cannot be set on create",
    ),
    "a number as name": ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: 1", "f.yaml:4: metadata.name: found 1"),
    "a bad name": ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: A_b", "f.yaml:4: ConfigMap default/A_b:"),
    "no spec": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}", "f.yaml:1: Pod default/a: spec.containers: Required"),
    "a path as name": ("apiVersion: v1\nkind: Foo\nmetadata:\n  name: ../../x", "f.yaml:4: metadata.name: '../../x'"),
    "no kind": ("\napiVersion: v1\nmetadata: {name: a}", "f.yaml:2: kind: Required value"),
    "no metadata": ("apiVersion: v1\nkind: Pod", "f.yaml:1: metadata: Required value"),
    "another version": (
        "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}",
        "f.yaml:2: Deployment.apps a: no kind Deployment of apps/v1beta1 since Kubernetes 1.16: it is apps/v1",
    ),
    "a namespace on a cluster kind": (
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  namespace: b",
        "f.yaml:5: Namespace b/a: metadata.namespace",
    ),
    "an item of a list": (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n  dat: {}",
        'f.yaml:7: ConfigMap default/a: unknown field "dat", did you mean "data"?',
    ),
    "not YAML": ("a: [", "f.yaml:"),
    "no key": ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nsops: {mac: x}", "f.yaml:1: there is no key"),
    "a list of things": ("apiVersion: [v1]\nkind: Pod\nmetadata: {name: a}", "f.yaml:1: apiVersion: found ['v1']"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_names_file_line_object_and_field(case: tuple[str, str]) -> None:
    text, wanted = case

    result = compiled(good="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}", f=text)

    assert result.objects == ()
    assert result.problems[0].startswith(wanted), result.problems


def test_an_object_stated_twice_is_an_error_with_both_places() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

    result = compiled(x=text, y=f"# other\n---\n{text.replace('name: a', 'name: a, namespace: default')}")

    assert result.problems == ("y.yaml:3: ConfigMap default/a is also stated in x.yaml:1: which one counts?",)


def test_an_unknown_kind_waits_and_is_told() -> None:
    result = compiled(a="apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: a}\nspec: {x: 1}")

    assert result.problems == ()
    assert [str(one.key) for one in result.objects] == ["Issuer.cert-manager.io a"]
    assert result.warnings == (
        "a.yaml:1: Issuer.cert-manager.io a: no kind Issuer of cert-manager.io/v1 is served: it waits",
    )


@pytest.mark.parametrize(
    ("api_version", "kind", "message"),
    [
        ("apps/v1", "Deploymnt", 'no kind Deploymnt of apps/v1, did you mean "Deployment"?'),
        ("apps/v1", "deployment", 'no kind deployment of apps/v1, did you mean "Deployment"?'),
        ("v1", "Widget", "no kind Widget of v1"),
        ("v1", "Deployment", "no kind Deployment of v1: it is apps/v1"),
        (
            "extensions/v1beta1",
            "Deployment",
            "no kind Deployment of extensions/v1beta1 since Kubernetes 1.16: it is apps/v1",
        ),
        (
            "gitward.io/v1alpha1",
            "GitSourc",
            'no kind GitSourc of gitward.io/v1alpha1, did you mean "GitSource"?',
        ),
        ("apps/v2", "Deployment", "no kind Deployment of apps/v2: it is apps/v1"),
        (
            "apps/v2",
            "Deploymnt",
            'no kind Deploymnt of apps/v2, did you mean "Deployment" of apps/v1?',
        ),
        (
            "scheduling.k8s.io/v1alpha1",
            "Workload",
            "no kind Workload of scheduling.k8s.io/v1alpha1: what is served is scheduling.k8s.io/v1",
        ),
        (
            "extensions/v1beta1",
            "Ingress",
            "no kind Ingress of extensions/v1beta1 since Kubernetes 1.22: it is networking.k8s.io/v1",
        ),
        (
            "policy/v1beta1",
            "PodDisruptionBudget",
            "no kind PodDisruptionBudget of policy/v1beta1 since Kubernetes 1.25: it is policy/v1",
        ),
        (
            "extensions/v1beta1",
            "PodSecurityPolicy",
            "no kind PodSecurityPolicy of extensions/v1beta1 since Kubernetes 1.25: it is Pod Security Admission: "
            "the label pod-security.kubernetes.io/enforce of a namespace",
        ),
    ],
)
def test_a_kind_that_can_be_nobodys_holds_back(api_version: str, kind: str, message: str) -> None:
    """Waiting would delete the object that the mistyped one was."""
    result = compiled(a=f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}")

    group = f".{api_version.partition('/')[0]}" if "/" in api_version else ""
    assert result.problems == (f"a.yaml:2: {kind}{group} a: {message}",)
    assert result.objects == ()


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("x.io/v1", "Pod"),
    ],
)
def test_a_kind_of_another_version_or_group_waits(api_version: str, kind: str) -> None:
    result = compiled(a=f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}")

    assert (result.problems, len(result.objects)) == ((), 1)


def test_what_is_no_manifest_is_ignored_and_counted_by_file() -> None:
    result = compiled(
        compose="services: {}\n---\nx: 1", values="kind: DaemonSet\nreplicas: 1", empty="# nothing", l="[1]"
    )

    assert (result.objects, result.problems, result.ignored_files) == ((), (), 4)


def test_json_that_cannot_be_read_is_nobodys_unless_it_looks_like_a_manifest() -> None:
    broken = parse(b"{broken")

    result = compile_files([File("tsconfig.json", broken, looks_like_manifest=False)], no_key, lambda *_: {})

    assert (result.problems, result.ignored_files) == ((), 1)


def test_a_secret_in_clear_text_is_sealed_and_told() -> None:
    result = compiled(a="apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: canary-1}")

    (stated,) = result.objects
    assert stated.obj["data"] == {"p": Sensitive("Y2FuYXJ5LTE=")}  # type: ignore[typeddict-item] # A Secret has data.
    assert result.warnings == (
        "a.yaml:1: Secret default/a: a secret in clear text; see `gitward secret encrypt`",
    )
    assert "canary" not in repr(result)


def test_a_broken_secret_is_told_without_its_value() -> None:
    result = compiled(
        a="apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: [canary-1]}\ndata: {q: canary-2}"
    )

    assert result.problems
    assert "canary" not in repr(result)


def test_a_field_that_is_not_acted_on_is_a_warning_with_its_line() -> None:
    text = (
        DEPLOYMENT.format(replicas=1, image="image")
        + "      topologySpreadConstraints: []\n      resourceClaims: [{name: x}]\n"
    )

    assert compiled(a=text).warnings == (
        "a.yaml:16: Deployment.apps shop/web: spec.template.spec.resourceClaims is not acted on yet",
    )


def test_a_mark_of_another_tool_is_a_warning_with_its_line() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    helm.sh/resource-policy: keep\n"

    result = compiled(f=text)

    assert result.warnings == (
        "f.yaml:6: ConfigMap default/a: metadata.annotations[helm.sh/resource-policy]: keep is not acted "
        "on: gitward.io/prune: disabled keeps an object",
    )
    assert len(result.objects) == 1
