"""How good are the maps: measures with their published protocols, and tables over methods.

Measures of faithfulness to the model: ``faithfulness`` (average drop, gain and increase, insertion and deletion, on top
of ``saliency.faithfulness``), ``road``, ``adcc``, ``complexity``, ``sensitivity``.
Measures against what is known to be in the picture: ``pointing``, ``boxes`` and ``localisation``, ``segmentation``.
What is measured: ``classifier`` (a model in this process, seen from the pixels), ``scenes`` (pictures with labels and
masks), ``controls`` (maps that know nothing).
How: ``methods`` (what to compare), ``compare`` (the command), ``journal`` (what is done already), ``table``.
What training does to maps: ``interpretable_gradients`` (a command).

One convention: images are float32 ``[N, 3, H, W]`` in [0, 1] before mean and deviation are applied, and maps are
float32 ``[N, H, W]`` at that size, min-max normalised to [0, 1], as ``saliency.faithfulness.mask_of`` makes them.
Measures give a value per image, for tables to average; those that are defined over a whole set say so.
"""
