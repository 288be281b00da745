"""What is evaluated on: scenes, or a folder of photographs with labels, boxes or masks."""
