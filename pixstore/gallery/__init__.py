"""
The private photo gallery: accounts, albums and pictures over one ``ImageStore``.

The domain (``models``, ``accounts``, ``sessions``, ``albums``, ``pictures``, …) knows no Flask; the ``views_*`` modules
translate requests into one call of it. Titles and file names never reach the database unsealed (``titles``).
"""
