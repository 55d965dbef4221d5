"""Scores over HTTP, ``maagiqa serve``; see docs/serve.md.

``wire`` is what server and client agree on, ``schema`` the bodies, ``limits`` and ``settings`` what is allowed,
``bodies`` reads requests, ``pixels`` decodes what they hold, ``batcher`` gathers images of all requests into batches,
``worker`` scores them in a process of its own that ``engine`` looks after, ``monitoring`` counts, ``app`` has the
routes, ``guide`` the page that explains them, ``run`` starts and stops it all.
"""
