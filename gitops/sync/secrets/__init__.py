"""Encrypted files: SOPS with age, and SealedSecrets. What needs no key also runs in the parser's child.

Reading order: `rules.py` and `leaves.py` (which values a file encrypts), `formats.py` (dotenv, binary, JSON),
`embedded.py` (SOPS files inside a Secret); those need no key. Then `cipher.py` (one value, the MAC), `keys.py` (age),
`data_key.py` and `shamir.py` (who opens a file), `reader.py`, `sealed_secrets.py` and `sealed_keys.py`, `opening.py`
(all that a commit holds). For `gitward secret`: `splice.py` (YAML texts, comments kept), `wholes.py` and `writer.py`.
"""
