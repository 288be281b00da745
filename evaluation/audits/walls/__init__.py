"""Do maps show what the model cannot see? The audit of Taimeskhanov et al.

"CAM-Based Methods Can See through Walls" (ECML PKDD 2024, arXiv 2404.01964) builds a VGG16 that is blind to the lower
strip of its image by construction, and finds class activation maps that are bright there. Whatever a map shows in that
strip is false.

``network``: the blind network, at 224 pixels as in the paper and small for scenes. ``train``: training the small one on
scenes (a command). ``train_on_folder``: training the large one on pictures of one's own (a command). ``store``: the
small one trained, as a model store that can be served. ``pictures``: an object above the wall, another behind it.
``measure``: how much of a map lies behind the wall. ``initialisation``: what Grad-CAM shows there before any training,
against its closed form. ``audit``: all of it, as a section of a report (``python -m evaluation.audits.walls``).
"""
