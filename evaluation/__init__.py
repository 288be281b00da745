"""How good are the maps: measures with their published protocols, audits of models, and reports.

``measures``: of faithfulness to the model, and against what is known to be in the picture.
``pictures``: what is evaluated on.
``columns``: measures as columns of tables.
``audits``: what a map should be asked before it is trusted.
``claims``: what papers claim of their methods, measured.
``report``: what came of it, as a page and as files.
``dissection``: what single units look for; a command that names them for the service.
Here: ``subject`` (what is evaluated: a model seen from the pixels), ``classifier`` (one in this process, loaded as the
service's workers load it), ``service`` (one behind a server), ``controls`` (maps that know nothing), ``methods`` (what
to compare), ``choices`` (what figures depend on), ``compare`` (the run), ``journal`` (what is done already),
``progress``, ``table``, ``gallery``, ``summary`` (what came of it), ``series`` (evaluations one after the other, with
``kept``), ``arguments`` and ``cli`` (the command ``camserve-eval``), ``words`` (maps of captions and answers).

One convention: images are float32 ``[N, 3, H, W]`` in [0, 1] before mean and deviation are applied, and maps are
float32 ``[N, H, W]`` at that size, min-max normalised to [0, 1], as ``saliency.faithfulness.mask_of`` makes them.
Measures give a value per image, for tables to average; those that are defined over a whole set say so.
"""
