"""The settings made into the clients of endpoints beside the models."""

from respun.config import Config
from respun.engine.clock import Clock
from respun.engine.reranking import Reranker
from respun.providers.endpoint import EndpointClient
from respun.providers.upstream import Upstream


def rerank_client(config: Config) -> EndpointClient | None:
    """None where no endpoint is set. Close it at the end. A search waits for no second try."""
    if config.rerank_base_url is None:
        return None
    upstream = Upstream(config.rerank_base_url, config.rerank_api_key)
    return EndpointClient(upstream, "rerank", "Check rerank_base_url, rerank_model and its key.", pauses=())


def reranker(config: Config, client: EndpointClient | None, clock: Clock) -> Reranker | None:
    return Reranker(client.post, config.rerank_model, config.rerank_seconds, clock) if client else None
