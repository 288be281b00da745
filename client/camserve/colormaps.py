"""Colormaps, as tables of 256 RGB colours."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

_Table = npt.NDArray[np.uint8]


def _gradient(stops: str) -> _Table:
    """Interpolates linearly between evenly spaced colours, each RRGGBB in hexadecimal."""
    colors = np.frombuffer(bytes.fromhex(stops), dtype=np.uint8).reshape(-1, 3)
    at = np.linspace(0, len(colors) - 1, 256)
    channels = [np.interp(at, np.arange(len(colors)), channel) for channel in colors.T]
    table = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    table.setflags(write=False)
    return table


# Every fifth of the 256 colours of Turbo, A. Mikhailov (Google, 2019, Apache-2.0); exact within 1 of 255.
_TURBO = (
    "30123b 36215f 3b2f80 3f3e9c 424bb5 4559cb 4666dd 4773eb 4680f6 458cfd 4099ff 38a5fb 2fb2f4 27bee9 1fc9dd 1ad4d0 "
    "18ddc2 1ae4b6 22ebaa 2ff19b 3ff68a 52fa7a 65fd69 79fe59 8bff4b 9cfe40 a9fb39 b7f735 c3f134 d0ea34 dbe236 e5d938 "
    "eecf3a f5c53a faba39 fdae35 fea130 fe932a fc8423 f9751d f46617 ef5811 e84b0c e14109 d83706 ce2d04 c32503 b71d02 "
    "a91601 9b0f01 8b0902 7a0403 "
)

# Every fifth of the 256 colours of Viridis, S. van der Walt and N. Smith (2015, CC0); exact within 1 of 255.
_VIRIDIS = (
    "440154 46085c 471063 481769 481d6f 482475 472a7a 46307e 453781 433d84 414287 3f4889 3d4e8a 3a538b 38598c 355e8d "
    "33638d 31688e 2e6d8e 2c718e 2a768e 297b8e 27808e 25848e 23898e 218e8d 20928c 1f978b 1e9c89 1fa188 21a585 24aa83 "
    "28ae80 2eb37c 35b779 3dbc74 46c06f 50c46a 5ac864 65cb5e 70cf57 7cd250 89d548 95d840 a2da37 b0dd2f bddf26 cae11f "
    "d8e219 e5e419 f1e51d fde725 "
)

# The 33 colours of K. Moreland, "Diverging Color Maps for Scientific Visualization" (2009).
_COOLWARM = (
    "3b4cc0 445acc 4d68d7 5775e1 6282ea 6c8ef1 779af7 82a5fb 8db0fe 98b9ff a3c2ff aec9fd b8d0f9 c2d5f4 ccd9ee d5dbe6 "
    "dddddd e5d8d1 ecd3c5 f1ccb9 f5c4ad f7bba0 f7b194 f7a687 f49a7b f18d6f ec7f63 e57058 de604d d55042 cb3e38 c0282f "
    "b40426 "
)

# The corners of MATLAB's classic.
_JET = "000080 0000ff 0080ff 00ffff 80ff80 ffff00 ff8000 ff0000 800000"

COLORMAPS: Mapping[str, _Table] = MappingProxyType(
    {
        "turbo": _gradient(_TURBO),
        "viridis": _gradient(_VIRIDIS),
        "jet": _gradient(_JET),
        "gray": _gradient("000000 ffffff"),
        "coolwarm": _gradient(_COOLWARM),
    }
)
"""Tables uint8 ``[256, 3]`` by name, lowest value first."""

DIVERGING = frozenset({"coolwarm"})
"""Colormaps whose middle stands for zero."""
