"""Label maps: which class id is called what, in the text format of the TF Object Detection API."""

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message

from framebus.errors import ModelError
from framebus.model_file import open_model_file

FILE_NAME = "object-detection.pbtxt"

# Room for tens of thousands of classes. The parser's time grows with the square of a line's length.
_MAX_BYTES = 4 * 2**20
_MAX_LINE_LENGTH = 10_000
_MAX_QUOTE = 100
_REMEDY = "write an item per class, like `item { id: 1 name: 'person' }`"


def _label_map_class() -> type[Message]:
    """Builds `StringIntLabelMap`, as far as it is read here, without protoc.

    Source: research/object_detection/protos/string_int_label_map.proto of tensorflow/models.
    """
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="framebus/string_int_label_map.proto", package="framebus", syntax="proto2"
    )
    item = file.message_type.add(name="StringIntLabelMapItem")
    item.field.add(name="name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    item.field.add(name="id", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    item.field.add(name="display_name", number=3, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    label_map = file.message_type.add(name="StringIntLabelMap")
    label_map.field.add(
        name="item",
        number=1,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".framebus.StringIntLabelMapItem",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("framebus.StringIntLabelMap"))


_LabelMap = _label_map_class()


def read_label_map(path: Path) -> dict[int, str]:
    """Reads the labels of a model: items in protobuf text format, UTF-8.

    Ids may have gaps; fields that are not needed here, such as keypoints, are passed over.

    Returns:
        Label by class id, ascending; a label is the item's `display_name`, or else its `name`.

    Raises:
        ModelError: The file is no label map, or too large; names the file, the place in it and the remedy.
    """
    message = _LabelMap()
    try:
        with open_model_file(path, _MAX_BYTES) as file:
            text = file.read().decode("utf-8-sig")
        _check_lines(path, text)
        text_format.Parse(text, message, allow_unknown_field=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; {_REMEDY}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8 text") from error
    except text_format.ParseError as error:
        raise ModelError(f"{path}: {_explained(error, text)}; {_REMEDY}") from error
    except RecursionError as error:
        raise ModelError(f"{path}: nested too deeply; {_REMEDY}") from error

    labels: dict[int, str] = {}
    for number, item in enumerate(message.item, start=1):  # type: ignore[attr-defined]
        label = item.display_name.strip() or item.name.strip()
        quoted = label[:_MAX_QUOTE]
        if not item.HasField("id"):
            raise ModelError(f"{path}: item {number} ({quoted or 'no name'}) has no id; {_REMEDY}")
        if item.id < 0:
            raise ModelError(f"{path}: item {number} has the id {item.id}; ids start at 0")
        if not label:
            raise ModelError(f"{path}: item {number} (id {item.id}) has no name; {_REMEDY}")
        if item.id in labels:
            other = labels[item.id][:_MAX_QUOTE]
            raise ModelError(
                f"{path}: id {item.id} is both {other!r} and {quoted!r}; give each an id of its own"
            )
        labels[item.id] = label
    if not labels:
        raise ModelError(f"{path}: no items; {_REMEDY}")
    return dict(sorted(labels.items()))


def _check_lines(path: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > _MAX_LINE_LENGTH:
            raise ModelError(
                f"{path}: line {number} has {len(line)} characters, {_MAX_LINE_LENGTH} is the most; "
                "write each item on a line of its own"
            )


def _explained(error: text_format.ParseError, text: str) -> str:
    """Says where it is and why, without the line itself, which the parser quotes whole."""
    line, column = error.GetLine(), error.GetColumn()
    why = str(error).removeprefix(f"{line}:{column} : ")
    if line is None:
        return why[:_MAX_QUOTE]
    quoted_line = text.split("\n")[line - 1]
    why = why.removeprefix(f"'{quoted_line}': ")
    return f"line {line}, column {column}: {why[:_MAX_QUOTE]}"
