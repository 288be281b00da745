"""What is evaluated on: scenes, or a folder of photographs with labels, boxes or masks.

``picture``: one, and a batch. ``source``: where they come from. ``scenes``: drawn. ``folder``: which layout a folder
has; ``classes`` (ImageFolder, or no labels), ``voc`` and ``coco`` read theirs, ``rle`` COCO's masks. ``fitting``: from
a file to the model's input, and what is known of it along.
"""
