"""Measures as columns of tables.

``case``: maps, and all that measures make of them in common. ``measure``: what a column is. ``faithful``, ``found``,
``form``: the columns, by what is asked of a map: whether the model rests on it, whether it lies on the object, what it
is like in itself. ``catalogue``: all of them.
"""
