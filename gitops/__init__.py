"""The master: from git to live objects. Rooms and what they may import: docs/architecture.md."""
