"""SOPS files with age: reading (the MAC is always checked) and writing. Source: getsops/sops 3.13.

Reading order: `leaves.py` (which values a file encrypts; runs in the parser's child too), `cipher.py` (one value, the
MAC), `keys.py` (age), `reader.py`, `writer.py`.
"""
