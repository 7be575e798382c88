"""What the extensions of a ClientHello offer."""

from collections.abc import Mapping

from gateway.dtls.alerts import AlertError, DecodeError
from gateway.dtls.codes import UNCOMPRESSED_POINT, AlertDescription, ExtensionType
from gateway.dtls.wire import Reader


def offered_numbers(extensions: Mapping[int, bytes], extension: ExtensionType) -> tuple[int, ...] | None:
    """Groups (RFC 8422 §5.1.1) or signature schemes (RFC 5246 §7.4.1.4.1); None where the extension is left out.

    Raises DecodeError; an empty list is none.
    """
    data = extensions.get(extension)
    if data is None:
        return None
    reader = Reader(data)
    values = reader.numbers(2, 2)
    reader.finish()
    if not values:
        raise DecodeError(f"{extension.name.lower()} is empty")
    return values


def check_point_formats(extensions: Mapping[int, bytes]) -> None:
    """Raises AlertError where points may come in other forms than the one that all must know (RFC 8422 §5.1.2)."""
    formats = extensions.get(ExtensionType.EC_POINT_FORMATS)
    if formats is not None:
        reader = Reader(formats)
        if UNCOMPRESSED_POINT not in reader.vector(1):
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "uncompressed points are missing")
        reader.finish()
