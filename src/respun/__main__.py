"""`python -m respun` and the command `respun`."""


def main() -> None:
    from respun.cli.main import respun

    respun(prog_name="respun")


if __name__ == "__main__":
    main()
