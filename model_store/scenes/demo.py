"""Pictures to show the service with."""

from model_store.scenes.scene import Scene, general_scene, one_class_scene, two_class_scene


def demo_scenes() -> list[tuple[str, Scene]]:
    """Six held-out scenes, each with a name fit for a file: one object, two classes, small ones, overlap, four.

    They are best drawn at 480 x 480.
    """
    return [
        ("cross", one_class_scene(10_020_066)),
        ("star-and-circle", two_class_scene(10_020_824)),
        ("small-square", one_class_scene(10_020_072)),
        ("ring-and-small-circle", two_class_scene(10_020_188)),
        ("heart-before-star", two_class_scene(10_020_872)),
        ("four-objects", general_scene(10_020_629)),
    ]
