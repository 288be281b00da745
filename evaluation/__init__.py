"""How good are the maps: measures with their published protocols, audits of models, and reports.

``measures``: of faithfulness to the model, and against what is known to be in the picture.
``pictures``: what is evaluated on.
``audits``: what a map should be asked before it is trusted.
``report``: what came of it, as a page and as files.
Here: ``classifier`` (a model in this process, seen from the pixels), ``controls`` (maps that know nothing), ``methods``
(what to compare), ``compare`` (the command), ``journal`` (what is done already), ``table``, ``words`` (maps of captions
and answers), ``interpretable_gradients`` (what training does to maps; a command).

One convention: images are float32 ``[N, 3, H, W]`` in [0, 1] before mean and deviation are applied, and maps are
float32 ``[N, H, W]`` at that size, min-max normalised to [0, 1], as ``saliency.faithfulness.mask_of`` makes them.
Measures give a value per image, for tables to average; those that are defined over a whole set say so.
"""
