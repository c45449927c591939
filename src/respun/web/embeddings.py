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
        self._clients: dict[str, EndpointClient] = {}

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
        for client in self._clients.values():
            await client.aclose()

    async def make_old(self, name: str, address: str) -> "Embedder":
        """A model that the settings no longer name, while its vectors serve. Raises a Problem if it can't be had."""
        if self._config.embeddings == "none":
            return await self._none()
        if not address:
            return await self._embedded()
        model, _, dims = name.rpartition("/")
        return self._asked_at(address, model, int(dims))

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
        base_url, model = self._config.embeddings_base_url, self._config.embeddings_model
        # Settle refuses an endpoint without them.
        assert base_url
        assert model
        return self._asked_at(base_url, model, self._config.embeddings_dimensions)

    def _asked_at(self, address: str, model: str, dims: int) -> "Embedder":
        from respun.retrieval.embed import Endpoint

        # The key is for the address that it was given for, and no other.
        key = self._config.embeddings_api_key if address == self._config.embeddings_base_url else None
        if address not in self._clients:
            advice = "Check embeddings_base_url, embeddings_model and its key."
            self._clients[address] = EndpointClient(Upstream(address, key), "embeddings", advice)
        return Endpoint(self._clients[address].post, model, dims, count, address)

    async def _none(self) -> "Embedder":
        raise Problem("The setting 'embeddings' is 'none'.", kind="unavailable")
