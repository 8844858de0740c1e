"""YAML and JSON texts as kubectl reads them. Imports nothing of ours but `errors`. Not for editing.

Reading order: `loader.py` (events into values, budgets), `scalars.py` (what a plain scalar means), `json_text.py` (a
text that starts with `{`), `positions.py` (the line of a field, on demand), `text.py` (bytes to events, errors).
"""

from gitops.kinds.yaml.loader import KUBECTL, Scalars, load, load_objects
from gitops.kinds.yaml.positions import lines_of, nearest_line, position_of
from gitops.kinds.yaml.text import Bomb, Document, Json, Unreadable

__all__ = [
    "KUBECTL",
    "Bomb",
    "Document",
    "Json",
    "Scalars",
    "Unreadable",
    "lines_of",
    "load",
    "load_objects",
    "nearest_line",
    "position_of",
]
