"""Renders the kustomizations and charts of an app, by kubectl and helm in the sandbox, and remembers what came out.

What is remembered is what a renderer put out, under a name that covers all that it depends on: the renderer itself,
its arguments, and every file of every folder that it may reach. So a commit that touches one app renders one app. What
needs keys comes afterwards, each time. It blocks: for threads, any number of sources at once.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Final

import orjson

from gitops.kinds.errors import Invalid
from gitops.kinds.keys import Origin
from gitops.kinds.yaml import Document
from gitops.sync.compile import File
from gitops.sync.render.binaries import Binaries
from gitops.sync.render.box import End
from gitops.sync.render.charts import draws, placed
from gitops.sync.render.kept import Kept
from gitops.sync.render.origins import named_files, of_chart, of_kustomization
from gitops.sync.render.parse import Failure, Parsed
from gitops.sync.render.plan import Job, Planner
from gitops.sync.render.roots import KUSTOMIZATIONS, Tool
from gitops.sync.render.sandbox import Sandbox
from gitops.sync.render.tree import Tree
from gitops.sync.render.unseal import SealedFile, Unsealing, VerifiedKey
from gitops.sync.render.words import refusal, secrets_of, warnings
from gitops.sync.secrets.formats import marked_format
from gitops.sync.zygote import Parser, unpacked

AT_ONCE: Final = min(os.cpu_count() or 1, 4)
CACHE_BYTES_MAX: Final = 16 << 20  # For reverts, and what is asked again with another key.
PLACE_BYTES: Final = 300
LOOKED_THROUGH_BYTES_MAX: Final = 4 << 20  # Of resources, for where an object is stated.
FOLDER: Final = "render"
BINARIES: Final = "bin"
KEPT: Final = "rendered"  # In the data directory, as `keys`.
KEPT_KEY: Final = "keys/rendered.key"
_ALIASES: Final = (re.compile(rb"[\s\[{,:-]&\w"), re.compile(rb"[\s\[{,:-]\*\w"))


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a root states, for `compile_files`; None with `problems`. All lines begin with `file:line:`."""

    job: Job
    file: File | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Output:
    """What is remembered. `answer` for `unpacked`; `sealed`: answers for the encrypted files among the inputs."""

    answer: bytes = b""
    sealed: tuple[tuple[str, bytes], ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    places: Mapping[int, Origin] = field(default_factory=dict)  # By the document's index in the answer.
    is_lasting: bool = True  # Time and memory may be better next time.

    @property
    def size_bytes(self) -> int:
        sealed = sum(len(answer) for _, answer in self.sealed)
        return len(self.answer) + sealed + PLACE_BYTES * len(self.places) + 1_000


class Renderer:
    """`runs` counts the renders that a process was started for."""

    def __init__(self, parser: Parser, data_dir: Path, bin_dir: Path | None = None) -> None:
        """`bin_dir`: where kubectl and helm are; else in `bin` of the data directory, else on PATH."""
        self._parser = parser
        self._sandbox = Sandbox(data_dir / FOLDER)
        self._binaries = Binaries(bin_dir, data_dir / BINARIES, self._sandbox)
        self._cache: OrderedDict[str, _Output] = OrderedDict()
        self._cached_bytes = 0
        self._kept = Kept(data_dir / KEPT, data_dir / KEPT_KEY)
        self._keeping = Lock()
        self._lock = Lock()  # Of the cache; nothing is planned or rendered under it.
        self.runs = 0

    def planner(self) -> Planner:
        """What is to be rendered is planned by one per source, so that none waits for what another's commit takes."""
        return Planner(self._parser, self._binaries)

    def render(
        self, jobs: Sequence[Job], tree: Tree, verified_key: VerifiedKey, *, placeholders: bool = False
    ) -> list[Rendered]:
        """The results, in order. `placeholders`: values that no key opens are some text (for `gitward check`)."""
        outputs = self._remembered(jobs)
        missing = [job for job in jobs if job.id not in outputs and not job.problems]
        with ThreadPoolExecutor(AT_ONCE, "render") as pool:
            for begin in range(0, len(missing), AT_ONCE):  # So that the texts of a few are in memory at once.
                some = missing[begin : begin + AT_ONCE]
                contents = [tree.read(job.inputs) for job in some]
                outputs |= {
                    job.id: output
                    for job, output in zip(some, pool.map(self._kept_or_run, some, contents), strict=True)
                }
        self._remember({job.id: outputs[job.id] for job in missing})
        return [
            self._rendered(job, outputs[job.id], verified_key, placeholders)
            if not job.problems
            else Rendered(job, None, job.problems)
            for job in jobs
        ]

    def path_of(self, tool: Tool) -> Path:
        """Where a renderer is. BadRequest: there is none."""
        return self._binaries.find(tool).path

    def told(self) -> tuple[str, ...]:
        """Which renderers are used, and how they are confined: for `gitward status`."""
        used = self._binaries.told()
        return (*used, f"confined by: {self._sandbox.isolation}") if used else ()

    def close(self) -> None:
        self._sandbox.close()

    def _remembered(self, jobs: Sequence[Job]) -> dict[str, _Output]:
        with self._lock:
            found = {job.id: self._cache[job.id] for job in jobs if job.id in self._cache}
            for name in found:
                self._cache.move_to_end(name)
        return found

    def _remember(self, outputs: dict[str, _Output]) -> None:
        with self._lock:
            self.runs += len(outputs)
            for name, output in outputs.items():
                if output.is_lasting and name not in self._cache:
                    self._cache[name] = output
                    self._cached_bytes += output.size_bytes
            while self._cached_bytes > CACHE_BYTES_MAX:
                _, output = self._cache.popitem(last=False)
                self._cached_bytes -= output.size_bytes

    def _kept_or_run(self, job: Job, contents: Sequence[bytes]) -> _Output:
        """Of a chart the result that it had first: its templates may have drawn random values."""
        if job.root.tool != "helm":
            return self._run(job, contents)
        with self._keeping:
            kept = self._kept.load(job.id)
        if kept is not None:
            return _output_of(kept)
        output = self._run(job, contents)
        if not output.problems:
            with self._keeping:
                self._kept.store(job.id, _packed(output))
        return output

    def _run(self, job: Job, contents: Sequence[bytes]) -> _Output:
        files = [(entry.path, content) for entry, content in zip(job.inputs, contents, strict=True)]
        bombs, sealed = self._judged(files)
        problems = [*bombs, *(_refused_values(path) for path, _ in sealed if path in _values_of(job))]
        if problems:
            return _Output(problems=tuple(problems))
        assert job.binary is not None, "a job without one has a problem"
        with self._binaries.opened(job.binary) as binary:
            end = self._sandbox.run(binary, job.arguments, files)
        at = f"{job.root.file}:1: "
        tool = " ".join(job.arguments[:2])
        if end.killed:
            return _Output(
                problems=(f"{at}{tool} was ended: it took more {end.killed} than it may",), is_lasting=False
            )
        if end.status != 0:
            return _Output(problems=(f"{at}{tool}: {refusal(end.errors, self._secrets(files))}",))
        (answer,) = self._parser.parse([(job.root.file, end.output)], what="rendered")
        if isinstance(answer, Failure):
            return _Output(problems=(f"{at}{answer.what}",), is_lasting=False)
        warned = tuple(self._warnings(job, files, end))
        places = self._places(job, dict(files), end.output, unpacked(answer).documents)
        return _Output(answer, tuple(sealed), warned, places=places)

    def _places(
        self, job: Job, files: Mapping[str, bytes], output: bytes, documents: Sequence[Document]
    ) -> Mapping[int, Origin]:
        if job.root.tool == "helm":
            return of_chart(output, documents, job.root.folder, files)
        own = {path: content for path, content in files.items() if path.rpartition("/")[2] in KUSTOMIZATIONS}
        kustomizations = {path: held[0].value for path, held in self._read(own).items() if len(held) == 1}
        named = {path: files[path] for path in named_files(kustomizations, files.keys() - own.keys())}
        if sum(map(len, named.values())) > LOOKED_THROUGH_BYTES_MAX:
            return {}
        return of_kustomization(documents, kustomizations, self._read(named))

    def _read(self, files: Mapping[str, bytes]) -> dict[str, Sequence[Document]]:
        answers = self._parser.parse([*files.items()])
        return {path: unpacked(answer).documents for path, answer in zip(files, answers, strict=True)}

    def _judged(self, files: Sequence[tuple[str, bytes]]) -> tuple[list[str], list[tuple[str, bytes]]]:
        """Bombs as problems, and (path, answer) of what is encrypted. Few files look as if they could be either."""
        suspects = [(path, content) for path, content in files if _looks_special(content)]
        bombs, sealed = [], []
        for (path, _), answer in zip(suspects, self._parser.parse(suspects, what="input"), strict=True):
            parsed = unpacked(answer)
            if parsed.failure is not None:
                bombs.append(f"{path}:{parsed.failure.line}: {parsed.failure.what}")
            elif parsed.sealed is not None and isinstance(answer, bytes):
                sealed.append((path, answer))
        return bombs, sealed

    def _warnings(self, job: Job, files: Sequence[tuple[str, bytes]], end: End) -> Iterator[str]:
        at = f"{job.root.file}:1: "
        if end.errors.strip():
            yield from (
                f"{at}{job.arguments[0]}: {line}" for line in warnings(end.errors, self._secrets(files))
            )
        for path, content in files:
            if job.root.tool == "helm" and "/templates/" in f"/{path}" and draws(content):
                yield (
                    f"{path}:1: it asks for random values or the time: they are new with each change of the chart"
                )

    def _secrets(self, files: Sequence[tuple[str, bytes]]) -> list[str]:
        """What an error may quote and nobody should read: texts of Secrets that lie in git in the clear."""
        some = [
            (path, content)
            for path, content in files
            if b"Secret" in content or b"secretGenerator" in content
        ]
        parsed = [unpacked(answer) for answer in self._parser.parse(some)]
        return [text for one in parsed for document in one.documents for text in secrets_of(document.value)]

    def _rendered(self, job: Job, output: _Output, verified_key: VerifiedKey, placeholders: bool) -> Rendered:
        if output.problems:
            return Rendered(job, None, output.problems)
        at = f"{job.root.file}:1: "
        parsed = unpacked(output.answer)
        if parsed.failure is not None:
            return Rendered(job, None, (f"{at}{parsed.failure.what}",))
        told = list(output.warnings)
        kept = list(parsed.documents)
        if job.namespace is not None:
            kept, hooks = placed(parsed.documents, job.namespace)
            told += [f"{at}{hook}" for hook in hooks]
        sealed = [(path, unpacked(answer).sealed) for path, answer in output.sealed]
        unsealing = Unsealing(
            [SealedFile(path, one) for path, one in sealed if one], verified_key, placeholders=placeholders
        )
        documents, problems = _opened(kept, unsealing, job.root.file, output.places)
        if problems:
            return Rendered(job, None, tuple(problems), tuple(told))
        position = {document.index: place for place, document in enumerate(documents)}
        embedded = tuple(
            one._replace(document=position[index])
            for one in parsed.embedded
            if (index := parsed.documents[one.document].index) in position
        )
        return Rendered(
            job,
            File(job.root.file, Parsed(tuple(documents), embedded=embedded), places=output.places),
            (),
            tuple(told),
        )


def _packed(output: _Output) -> bytes:
    places = [(index, place.file, place.line) for index, place in output.places.items()]
    sealed = [(path, answer.decode()) for path, answer in output.sealed]
    return orjson.dumps([output.answer.decode(), sealed, output.warnings, places])


def _output_of(packed: bytes) -> _Output:
    """Of what `_packed` wrote: nobody else could."""
    answer, sealed, warned, places = orjson.loads(packed)
    return _Output(
        answer.encode(),
        tuple((path, text.encode()) for path, text in sealed),
        tuple(warned),
        places={index: Origin(file, line) for index, file, line in places},
    )


def _opened(
    documents: Sequence[Document], unsealing: Unsealing, root: str, places: Mapping[int, Origin]
) -> tuple[list[Document], list[str]]:
    """Each as if it began at line 1 of the root: the lines of what was put out are nobody's."""
    opened, problems = [], []
    for document in documents:
        try:
            opened.append(replace(unsealing.opened(document), line=1))
        except Invalid as error:
            origin = places.get(document.index)
            by = f" (rendered by {root})"
            problems.append(f"{origin}: {error}{by}" if origin else f"{root}:1: {error}")
    return opened, problems


def _values_of(job: Job) -> set[str]:
    """The files that a chart takes its values from."""
    if job.root.tool != "helm":
        return set()
    own = f"{job.root.folder}/values.yaml" if job.root.folder else "values.yaml"
    named = zip(job.arguments, job.arguments[1:], strict=False)
    return {own, *(path.removeprefix("./") for flag, path in named if flag == "--values")}


def _refused_values(path: str) -> str:
    return (
        f"{path}:1: an encrypted file of values: templates would have to see what is in it, and renderers never see a "
        "plain secret; put the secret into an encrypted manifest of its own, or into an encrypted file in templates/"
    )


def _looks_special(content: bytes) -> bool:
    return marked_format(content) is not None or all(pattern.search(content) for pattern in _ALIASES)
