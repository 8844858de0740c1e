"""The rendered folders of an app, as pages of its ledger: each kustomization or chart is one file that states much.

A root whose job has the id that it had before states what it stated, and is left alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from gitops.sync.compile import File, Sheet
from gitops.sync.ledger import Turned, page_of
from gitops.sync.render.plan import Planner
from gitops.sync.render.renderer import Rendered, Renderer
from gitops.sync.render.roots import Root
from gitops.sync.render.tree import Tree
from gitops.sync.render.unseal import VerifiedKey

Jobs = Mapping[str, str]  # The file of a root -> the id of the job that made its page.


@dataclass(frozen=True, slots=True)
class Pages:
    """`pages`: of roots that differ; None: it states nothing by itself any more. `jobs`: all of the app."""

    pages: Mapping[str, Turned | None]
    jobs: Jobs


def rendered_pages(
    renderer: Renderer, planner: Planner, roots: Sequence[Root], tree: Tree, known: Jobs, again: Collection[str],
    verified_key: VerifiedKey, compiled: Callable[[File], Sheet],
) -> Pages:  # fmt: skip
    """`again`: files of roots that are to be made anew, though their jobs did not change."""
    jobs = planner.jobs(roots, tree)
    wanted = [job for job in jobs if job.root.file in again or known.get(job.root.file) != job.id]
    ids = {job.root.file: job.id for job in jobs}
    pages: dict[str, Turned | None] = dict.fromkeys(file for file in known if file not in ids)
    rendered = renderer.render(wanted, tree, verified_key)
    return Pages(pages | {one.job.root.file: _page(one, compiled) for one in rendered}, ids)


def _page(one: Rendered, compiled: Callable[[File], Sheet]) -> Turned:
    sheet = compiled(one.file) if one.file is not None else Sheet()
    whole = Sheet(
        sheet.objects, (*one.problems, *sheet.problems), (*one.warnings, *sheet.warnings), sheet.is_ignored
    )
    return page_of(whole, sealed=True, again=bool(one.problems))
