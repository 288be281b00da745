"""What papers claim of their methods, asked again on scenes: ``camserve-eval claims``.

``opti_cam``: is it ahead where its paper says so, and is the search as good as the authors' (``authors_search``).
``conceptor_cam``: is it ahead of its bases, and with which negative evidence. ``excitation``: is mass kept, and does
contrast point better. ``interpretable_gradients``: does the training change what maps are worth (with ``trained``).
``compared``: tables of methods side by side. ``scenes``: all claims. Each gives a section of a report.
"""
