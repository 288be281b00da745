"""Audits of a model and its maps, each of which gives a :class:`evaluation.report.section.Section`.

``walls``: do maps show what the model cannot see. ``sanity``: do they depend on what it learnt (with ``randomisation``
and ``likeness``). ``adversarial``: do they find what an attacked model no longer names (with ``attack`` and
``attacked``). ``supervision``: what does a segmentation network learn from them (with ``segmenter``).
``scenes``: all of them on scenes. ``command`` and ``overlays``: what audits have in common.
"""
