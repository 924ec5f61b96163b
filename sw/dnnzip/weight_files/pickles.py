"""Pickles, as PyTorch saves weights: recognised and refused, for loading one runs code that its author chose."""

import shlex
from pathlib import Path

from dnnzip.errors import InputError

#: Endings of the names that PyTorch and its users give to pickles.
PICKLE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")

#: First bytes of a pickle of protocols 2 to 5, and of an archive, in which PyTorch keeps one.
PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
ARCHIVE = b"PK\x03\x04"

#: File in PyTorch's archive that is the pickle.
PICKLE_MEMBER = "data.pkl"


def pickle_error(path: Path) -> InputError:
    """Make the line that refuses a pickle and names its conversion."""
    target = str(path.with_suffix(".safetensors"))
    code = (
        "import torch, safetensors.torch as st; "
        f"d = torch.load({str(path)!r}, map_location='cpu', weights_only=True); "
        "d = d.get('state_dict', d); "
        "st.save_file({k: v.clone().contiguous() for k, v in d.items() if isinstance(v, torch.Tensor)}, "
        f"{target!r})"
    )
    wrong = "is a pickle of PyTorch, which is never loaded, since it may run code"
    return InputError(str(path), wrong, f"convert it where torch is installed: python -c {shlex.quote(code)}")
