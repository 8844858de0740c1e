"""What runs in the parser's child: texts in, JSON trees out. It imports no keys and has no network.

Reading order: `parse.py` (one file), `child.py` (the process), `isolate.py` (what it gives up before it reads).
"""
