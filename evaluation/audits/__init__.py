"""Audits of a model and its maps: each module runs one and gives a :class:`evaluation.report.section.Section`."""
