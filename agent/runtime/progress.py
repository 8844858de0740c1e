"""How far a pull has come, by what Docker says of each layer. Source: moby/pkg/jsonmessage."""

from typing import Any, Final

LAYERS_MAX: Final = 1_000  # An image has 127 at most.


class PullProgress:
    """Bytes of all layers that the engine has spoken of so far; 0 of 0: it has not begun."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    @property
    def done_bytes(self) -> int:
        return sum(done for done, _ in self._layers.values())

    @property
    def total_bytes(self) -> int:
        return sum(total for _, total in self._layers.values())

    def note(self, line: Any) -> None:
        """One line of the engine's answer, as JSON. What says nothing of a download is passed over."""
        if not isinstance(line, dict):
            return
        layer, status, detail = line.get("id"), line.get("status"), line.get("progressDetail")
        if not isinstance(layer, str) or (layer not in self._layers and len(self._layers) >= LAYERS_MAX):
            return
        if status == "Downloading" and isinstance(detail, dict):
            done, total = detail.get("current"), detail.get("total")
            if isinstance(done, int) and isinstance(total, int) and 0 <= done <= total:
                self._layers[layer] = done, total
        elif status == "Download complete" and layer in self._layers:
            total = self._layers[layer][1]
            self._layers[layer] = total, total
