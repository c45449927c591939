"""The reference of all settings as Markdown, which docs/configuration.md carries word for word."""

from itertools import groupby
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from respun.config import SETTINGS, Route, Setting, Upstream


def reference() -> str:
    parts = []
    for section, settings in groupby(SETTINGS, key=lambda setting: setting.section):
        parts.append(f"## {section}\n")
        parts += [_entry(setting) for setting in settings]
    parts += [_table("[upstreams.NAME]", Upstream), _table("[models]", Route)]
    return "\n".join(parts)


def _entry(setting: Setting) -> str:
    variables = ", ".join(f"`{name}`" for name in (setting.env, setting.also_env) if name)
    flag = f"`{setting.flag}`" if setting.flag else "none, because others can read command lines"
    default = setting.default_words or (
        f"`{setting.shown(setting.default)}`" if setting.default is not None else "none"
    )
    return (
        f"### {setting.name}\n\n{setting.help}\n\n"
        f"- Value: {setting.expects}\n- Default: {default}\n- Flag: {flag}\n- Variables: {variables}\n"
    )


def _table(title: str, kind: type[msgspec.Struct]) -> str:
    hints = get_type_hints(kind, include_extras=True)
    rows = [_row(field, hints[field.name]) for field in msgspec.structs.fields(kind)]
    return "\n".join([f"## {title}\n", "| key | what it says | default |", "| --- | --- | --- |", *rows, ""])


def _row(field: msgspec.structs.FieldInfo, hint: Any) -> str:
    assert get_origin(hint) is Annotated
    words = get_args(hint)[1].description
    return f"| `{field.name}` | {words} | {_default(field)} |"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "must be there"
    match field.default:
        case bool() as value:
            return f"`{str(value).lower()}`"
        case str() as text:
            return f"`{text}`"
        case _:
            return "none"
