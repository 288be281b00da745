"""``docs/api/protocol.md``: the contract, from the comments of ``protos/camserve/v1/explanation.proto``."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from protos.generate import image

PAGE = Path(__file__).resolve().parents[1] / "api" / "protocol.md"
PROTO = "camserve/v1/explanation.proto"

HEAD = """\
# The contract, `camserve.v1`

Made from `protos/camserve/v1/explanation.proto` by `make docs`; do not edit.
"""

_SERVICE, _MESSAGE, _ENUM = 6, 4, 5  # fields of FileDescriptorProto, in which its comments are addressed
_METHOD, _FIELD, _VALUE, _NESTED = 2, 2, 2, 3
_Path = tuple[int, ...]
_KINDS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


def text() -> str:
    """The page."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "protos.binpb"
        image(file)
        files = FileDescriptorSet.FromString(file.read_bytes()).file
    return _Page(next(each for each in files if each.name == PROTO)).text()


class _Page:
    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}

    def text(self) -> str:
        parts = [HEAD]
        for at, service in enumerate(self._file.service):
            parts += self._service(service, (_SERVICE, at))
        parts.append("\n## Messages\n")
        for at, message in enumerate(self._file.message_type):
            parts += self._message(message, (_MESSAGE, at))
        parts.append("\n## Enums\n")
        for at, enum in enumerate(self._file.enum_type):
            parts += self._enum(enum, (_ENUM, at))
        return "".join(parts)

    def _service(self, service: ServiceDescriptorProto, path: _Path) -> Iterator[str]:
        yield f"\n## {service.name}\n\n{self._paragraphs(path)}\n"
        for at, rpc in enumerate(service.method):
            asked = ("stream " if rpc.client_streaming else "") + _name(rpc.input_type)
            told = ("stream " if rpc.server_streaming else "") + _name(rpc.output_type)
            yield f"\n### {rpc.name}\n\n`{asked}` → `{told}`\n\n{self._paragraphs((*path, _METHOD, at))}\n"

    def _message(self, message: DescriptorProto, path: _Path) -> Iterator[str]:
        yield f"\n### {message.name}\n\n{self._paragraphs(path)}\n"
        if message.field:
            yield "\n| field | type | meaning |\n|---|---|---|\n"
        for at, field in enumerate(message.field):
            kind, meaning = self._type(message, field), self._cell((*path, _FIELD, at))
            yield f"| `{field.name}` = {field.number} | {kind} | {meaning} |\n"
        for at, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                yield from self._message(nested, (*path, _NESTED, at))

    def _enum(self, enum: EnumDescriptorProto, path: _Path) -> Iterator[str]:
        yield f"\n### {enum.name}\n\n{self._paragraphs(path)}\n\n| value | meaning |\n|---|---|\n"
        for at, value in enumerate(enum.value):
            yield f"| `{value.name}` = {value.number} | {self._cell((*path, _VALUE, at))} |\n"

    def _type(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        named = f"`{_name(field.type_name)}`" if field.type_name else _KINDS[field.type]
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"repeated {named}"
        if field.proto3_optional:
            return f"optional {named}"
        if field.HasField("oneof_index"):
            return f"{named}, one of `{message.oneof_decl[field.oneof_index].name}`"
        return named

    def _paragraphs(self, path: _Path) -> str:
        lines = self._comments.get(path, "").splitlines()
        return "\n".join(line.removeprefix(" ") for line in lines)

    def _cell(self, path: _Path) -> str:
        return " ".join(self._comments.get(path, "").split()).replace("|", "\\|")


def _name(full: str) -> str:
    return full.removeprefix(".camserve.v1.").removeprefix(".")


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
