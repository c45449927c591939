"""Models: adapters to what answers a model call, and the routes that choose among them."""
