"""The last words of containers that ended: from their termination message file, or from the end of their output.

Source: Kubernetes, "Determine the Reason for Pod Failure"; kubernetes/pkg/kubelet (`getTerminationMessage`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Final

from agent.pods.means import Means
from agent.pods.restarting import every_container
from agent.runtime.protocol import SANDBOX, ContainerState, Phase
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import GitwardError

LOG_LINES: Final = 80
LOG_BYTES: Final = 2_048
READ_SECONDS_MAX: Final = 5.0


class Messages:
    """Each container is asked once, at the first look after its end."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._of: dict[str, str] = {}

    def known(self) -> Mapping[str, str]:
        """By container id; '' where it left no word."""
        return dict(self._of)

    async def read(self, pod: Pod, states: Iterable[ContainerState]) -> None:
        present = {state.id: state for state in states}
        self._of = {key: text for key, text in self._of.items() if key in present}
        for state in present.values():
            if state.phase is Phase.EXITED and state.container != SANDBOX and state.id not in self._of:
                self._of[state.id] = await self._last_words(pod, state)

    async def _last_words(self, pod: Pod, ended: ContainerState) -> str:
        container = next((one for one in every_container(pod) if one["name"] == ended.container), None)
        if container is None or ended.started_at is None:
            return ""
        try:
            text = await self._means.volumes.message(ended.pod_uid, ended.container, ended.attempt)
            falls_back = container["terminationMessagePolicy"] == "FallbackToLogsOnError"
            if not text and falls_back and ended.exit_code != 0:
                async with asyncio.timeout(READ_SECONDS_MAX):
                    return await self._end_of_output(ended)
        except (GitwardError, TimeoutError) as error:
            return f"Error on reading termination message: {error}"
        return text or ""

    async def _end_of_output(self, ended: ContainerState) -> str:
        end = b""
        output = self._means.runtime.logs(
            ended.id, follow=False, tail_lines=LOG_LINES, since=None, timestamps=False
        )
        async with aclosing(output) as chunks:
            async for chunk in chunks:
                end = (end + chunk)[-LOG_BYTES:]
        return end.decode(errors="replace")
