"""What every folder of tests may use."""

pytest_plugins = ["plugins.postgres", "plugins.server", "plugins.command"]
