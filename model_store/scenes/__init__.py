"""Scenes: synthetic pictures of coloured, textured objects with exact masks, captions, questions and answers.

Everything is drawn by code from a seed: `scene` says what is in a picture, `drawing` turns it into pixels and masks
at any resolution, `language` describes it, and `dataset` makes training material of it.
The networks are in `networks`, and how they are trained in `training`.
"""
