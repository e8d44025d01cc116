"""
The gallery's pages, one module each: they translate a request into one call of the domain, and its result into a page.

What they share: ``access`` (who may call a view), ``rendering`` (a page or a fragment of it), ``links`` (addresses that keep a
scope), ``forms``, ``problems`` (errors as pages), ``headers``, ``request``, ``static_files``. ``pages`` puts all of it into a Flask
application.
"""
