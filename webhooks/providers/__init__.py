"""One small module per provider: who signed a delivery, which id it has, what it says. `base.py` has the vocabulary.

`webhooks/app.py` lists them: a provider is served once it stands there.
"""
