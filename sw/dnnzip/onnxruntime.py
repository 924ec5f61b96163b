"""onnxruntime's session for compressed models: ``dnnzip.onnxruntime.InferenceSession(path)``.

The network is decoded in a process of its own, by a thread for each processor, and goes from there to onnxruntime
through a pipe: no file is written, and this process holds neither the codec nor any weight twice. A network beyond the
2 GB of an ONNX message is decoded here, and its weights are handed over as external initializers.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from dnnzip.onnx.domain import is_compressed_content, is_compressed_file
from dnnzip.onnx.writer_process import PlainWriter
from dnnzip.system.large_blocks import large_blocks_returned

__all__ = ["InferenceSession"]

#: Name of a model that is given as bytes, for messages.
GIVEN = "model"


class InferenceSession(onnxruntime.InferenceSession):
    """Session of a compressed or a plain model; a plain one opens as in onnxruntime.

    Parameters
    ----------
    path_or_bytes
        The model file, or its bytes.
    sess_options, providers, provider_options, kwargs
        As for ``onnxruntime.InferenceSession``.
    where
        The model's name in messages; by default its path.

    Raises
    ------
    InputError
        The file cannot be read, is truncated, or is a compressed model that is damaged or of a newer version.
    """

    # Fields of the base class.
    _model_path: str | None
    _model_bytes: bytes | None
    _sess_options: Any

    def __init__(
        self,
        path_or_bytes: str | bytes | os.PathLike[str],
        sess_options: Any = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
        *,
        where: str | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(path_or_bytes, bytes):
            self._where = where or GIVEN
            self._is_compressed = is_compressed_content(path_or_bytes, self._where)
        else:
            self._where = where or os.fspath(path_or_bytes)
            self._is_compressed = is_compressed_file(Path(path_or_bytes))
        super().__init__(path_or_bytes, sess_options, providers, provider_options, **kwargs)

    def _create_inference_session(self, *arguments: Any, **more: Any) -> None:
        # The one place in which onnxruntime opens a model: at the start, for its fallback, and for other providers.
        if not self._is_compressed:
            super()._create_inference_session(*arguments, **more)
            return
        own = self._model_path, self._model_bytes
        source = own[0] if own[0] is not None else own[1]
        assert source is not None, "the base class holds one of them"
        try:
            with large_blocks_returned(), PlainWriter(source, self._where) as writer:
                self._model_path, self._model_bytes = writer.path, None
                try:
                    super()._create_inference_session(*arguments, **more)
                except Exception:
                    if not writer.is_too_large():
                        raise
                    self._hand_over(source)
                    super()._create_inference_session(*arguments, **more)
        finally:
            self._model_path, self._model_bytes = own

    def _hand_over(self, source: str | bytes) -> None:
        """Let the session take the plain network and its weights, each on its own, from memory."""
        from dnnzip.onnx.plain_stream import opened, plain_buffers, processors

        compressed = opened(source, self._where)
        self._model_path = None
        # onnxruntime does not copy them before they are needed, and knows only where they are.
        self._model_bytes, self._buffers = plain_buffers(compressed, processors())
        self._sess_options = self._sess_options or onnxruntime.SessionOptions()
        self._sess_options.add_external_initializers_from_files_in_memory(
            list(self._buffers), list(self._buffers.values()), [len(content) for content in self._buffers.values()]
        )
