"""Files brought to a server that runs, by the command."""

from collections.abc import Callable

from openai import OpenAI

from plugins.command import Command, Server

Serve = Callable[..., Server]


def test_a_folder_is_added_and_what_could_not_be_read_is_named(command: Command, serve: Serve) -> None:
    server = serve("--embeddings", "none")
    folder = command.home / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("Ann eats tacos on Thursday.")
    (folder / "deep" / "b.md").write_text("# Plans\n\nTo the sea.")
    (folder / "empty.txt").write_text("")
    (folder / "table.csv").write_text("1,2")
    (folder / ".hidden").write_text("not meant")

    added = command("files", "add", "notes", "--url", server.base_url)

    assert added.returncode == 1
    assert "2 of 4 files can be searched." in added.stdout
    assert "empty.txt: The file could not be parsed because it is empty." in added.stderr
    assert "table.csv: Files with extensions [.csv] are not supported" in added.stderr


def test_what_the_store_has_is_not_brought_again(command: Command, serve: Serve) -> None:
    server = serve("--embeddings", "none")
    (command.home / "notes").mkdir()
    for number in range(6):
        (command.home / "notes" / f"{number}.txt").write_text("The same in every file.")
    with OpenAI(api_key="none", base_url=server.base_url) as sdk:
        store = sdk.vector_stores.create().id
        again = ("files", "add", "notes", "--url", server.base_url, "--store", store)
        assert command(*again).returncode == 0
        (command.home / "notes" / "6.txt").write_text("One more.")
        (command.home / "notes" / "0.txt").write_text("Another text.")
        assert "7 of 7 files" in command(*again).stdout
        assert len(list(sdk.files.list())) == 8
        assert sdk.vector_stores.retrieve(store).file_counts.completed == 8


def test_a_key_is_taken_from_the_environment(command: Command, serve: Serve) -> None:
    server = serve("--embeddings", "none", RESPUN_KEY="sk-respun-only-for-this-test")
    (command.home / "a.txt").write_text("Ann eats tacos on Thursday.")
    assert "Incorrect API key" in command("files", "add", "a.txt", "--url", server.base_url).stderr
    added = command("files", "add", "a.txt", "--url", server.base_url, RESPUN_KEY="sk-respun-only-for-this-test")
    assert (added.returncode, "1 of 1 files" in added.stdout) == (0, True)


def test_a_server_that_is_not_there_is_said_so(command: Command) -> None:
    (command.home / "a.txt").write_text("x")
    refused = command("files", "add", "a.txt", "--url", "http://127.0.0.1:9/v1")
    assert refused.returncode == 1
    assert "Is the server running?" in refused.stderr
