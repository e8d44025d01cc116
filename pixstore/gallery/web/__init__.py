"""
The gallery's pages, one module each.

A page translates a request into one call of the domain, and its result into HTML.

They share ``access`` (who may call a view), ``rendering`` (a page or a fragment of it), ``links`` (addresses
that keep a scope), ``forms``, ``problems`` (errors as pages), ``headers``, ``request`` and ``static_files``.
``pages`` puts all of them into a Flask application.
"""
