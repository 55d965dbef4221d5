"""A page of scored images to look through, choose from and correct: ``maagiqa score --gallery``.

``gallery.py`` is the page, ``entries.py`` what it knows of an image, ``thumbnails.py`` its small pictures. Words and
elements are in ``templates/``; ``state.js`` holds what is shown and marked, ``grid.js`` the overview, ``viewer.js`` the
large pictures.
"""
