"""The settings made into the embedding model: the carried one, an endpoint, or none."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from respun.config import Config
from respun.core.problems import Problem
from respun.providers.download import PullError
from respun.providers.embedding_files import embedding_files
from respun.providers.endpoint import EndpointClient
from respun.providers.tokens import count
from respun.providers.upstream import Upstream

if TYPE_CHECKING:
    from respun.retrieval.embed import Embedder

_THREADS: Final = 1


class EmbeddingModels:
    """Makes what the settings name, when it is asked for; close it at the end."""

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._client: EndpointClient | None = None

    @property
    def make(self) -> "Callable[[], Awaitable[Embedder]]":
        """Raises a Problem that says why there is none."""
        match self._config.embeddings:
            case "embedded":
                return self._embedded
            case "endpoint":
                return self._endpoint
            case "none":
                return self._none

    async def aclose(self) -> None:
        if self._client:
            await self._client.aclose()

    async def _embedded(self) -> "Embedder":
        try:
            import onnxruntime  # noqa: F401 - its import is slow, and the model's file is of no use without it

            from respun.retrieval.embed import BgeSmall
        except ModuleNotFoundError as missing:
            message = "The embedding model needs more packages: pip install 'respun[retrieval]'."
            raise Problem(message, kind="unavailable") from missing
        try:
            folder = await embedding_files(self._config.models_folder, self._environ)
        except PullError as error:
            raise Problem(error.message, kind="unavailable") from error
        return BgeSmall(folder, threads=_THREADS)

    async def _endpoint(self) -> "Embedder":
        from respun.retrieval.embed import Endpoint

        base_url, model = self._config.embeddings_base_url, self._config.embeddings_model
        # Settle refuses an endpoint without them.
        assert base_url
        assert model
        if self._client is None:
            upstream = Upstream(base_url, self._config.embeddings_api_key)
            advice = "Check embeddings_base_url, embeddings_model and its key."
            self._client = EndpointClient(upstream, "embeddings", advice)
        return Endpoint(self._client.post, model, self._config.embeddings_dimensions, count)

    async def _none(self) -> "Embedder":
        raise Problem("The setting 'embeddings' is 'none'.", kind="unavailable")
