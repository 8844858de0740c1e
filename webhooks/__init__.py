"""Webhooks in: each delivery is only a hint "look at this source now"; nothing in it is believed beyond that.

This room imports nothing of ours: it is handed the sources' URLs and a `trigger` callable. Reading order:
`app.py` (the Flask application and its answers), `providers/` (one module per provider: who signed, what
it says), `replay.py` (seen before, refused), `urls.py` (the same repository under several names),
`server.py` (waitress, bounded).
"""

from webhooks.app import Source, make_app
from webhooks.server import make_server

__all__ = ["Source", "make_app", "make_server"]
