"""Keys from their making to their end, by the command, with a server that runs."""

import http.client
import json
import time
from collections.abc import Callable

from plugins.command import Command, Server

Serve = Callable[..., Server]


def ask(server: Server, path: str = "/v1/assistants", **headers: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, json.loads(body)


def after_a_moment(server: Server, status: int, **headers: str) -> bool:
    """Whether the server answers so within the two seconds it is given to notice."""
    end = time.monotonic() + 2
    while ask(server, **headers)[0] != status:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_key_is_made_used_listed_and_revoked_while_the_server_runs(command: Command, serve: Serve) -> None:
    server = serve()
    assert ask(server)[0] == 200
    where = ("--data", str(server.data))

    made = command("keys", "create", "--name", "laptop", *where)
    secret = made.stdout.strip()
    assert secret.startswith("sk-respun-")
    assert "shown once" in made.stderr
    assert after_a_moment(server, 401)
    assert ask(server, Authorization=f"Bearer {secret}")[0] == 200
    assert ask(server, **{"X-API-Key": secret})[0] == 200

    listed = command("keys", "list", *where).stdout
    assert "laptop" in listed
    assert secret not in listed
    ident = next(word for word in listed.split() if word.startswith("key_"))

    assert command("keys", "revoke", ident, *where).returncode == 0
    assert after_a_moment(server, 401, Authorization=f"Bearer {secret}")
    assert "revoked" in command("keys", "list", *where).stdout
    server.stop()
    assert secret not in "".join(server.logged)


def test_a_start_script_may_ask_for_a_key_again_and_again(command: Command) -> None:
    first = command("keys", "create", "--if-missing", "--data", "data")
    again = command("keys", "create", "--if-missing", "--data", "data")
    assert first.stdout.startswith("sk-respun-")
    assert (again.returncode, again.stdout) == (0, "")


def test_a_key_that_there_is_not_cannot_be_revoked(command: Command) -> None:
    said = command("keys", "revoke", "key_nobody", "--data", "data")
    assert said.returncode == 2
    assert "`respun keys list` shows them" in said.stderr


def test_a_key_of_the_settings_is_made_at_the_start(serve: Serve) -> None:
    secret = "a-key-from-a-compose-file"
    server = serve("--host", "0.0.0.0", RESPUN_KEY=secret)
    assert ask(server)[0] == 401
    assert ask(server, Authorization=f"Bearer {secret}")[0] == 200
    server.stop()
    assert secret not in server.banner + "".join(server.logged)
