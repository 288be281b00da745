"""Trains the classifier of patches, and draws a picture to explain."""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from patches.model import build
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).parent
SIDE, PATCH = 64, 20
STEPS, BATCH = 120, 32


def patterns() -> np.ndarray:
    """The three textures: float32 ``[3, PATCH, PATCH]`` in [0, 1]."""
    y, x = np.mgrid[:PATCH, :PATCH]
    stripes = x // 2 % 2
    dots = (x % 5 < 2) & (y % 5 < 2)
    checks = (x // 4 + y // 4) % 2
    return np.stack([stripes, dots, checks]).astype(np.float32)


def picture(random: np.random.Generator, label: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A patch of a class somewhere in noise.

    Returns:
        uint8 ``[SIDE, SIDE, 3]``, and the row and column where the patch begins.
    """
    image = random.normal(0.5, 0.12, (SIDE, SIDE, 3))
    row, column = random.integers(0, SIDE - PATCH, 2)
    ink, paper = random.uniform(0.6, 1.0, 3), random.uniform(0.0, 0.4, 3)
    texture = patterns()[label][..., None]
    image[row : row + PATCH, column : column + PATCH] = texture * ink + (1 - texture) * paper
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), (int(row), int(column))


def main() -> None:
    """Trains, and writes ``patches/weights.safetensors`` and a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, default=HERE / "checks.png", help="where a picture of checks goes")
    options = parser.parse_args()
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    network = build()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(STEPS):
        labels = random.integers(0, 3, BATCH)
        images = torch.from_numpy(np.stack([picture(random, label)[0] for label in labels]))
        inputs = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        loss = F.cross_entropy(network(inputs), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 40 == 0:
            print(f"step {step}: loss {loss.item():.3f}")
    save_file(network.state_dict(), HERE / "patches/weights.safetensors")
    Image.fromarray(picture(np.random.default_rng(7), 2)[0]).save(options.picture)


if __name__ == "__main__":
    main()
