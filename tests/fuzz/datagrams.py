"""What a hostile or broken peer may send: arbitrary bytes, and valid messages that something happened to."""

from hypothesis import strategies as st

from gateway.coap.codec import Option, OptionNumber, Type, encode_message
from gateway.model import Code

PATHS = [(b"i", b"key"), (b"api", b"v2", b"i", b"other"), (b".well-known", b"core"), (b"i",), (b"nowhere",), ()]

paths = st.sampled_from(PATHS).map(lambda path: [(int(OptionNumber.URI_PATH), segment) for segment in path])
block_values = st.one_of(
    st.builds(
        lambda number, more, exponent: (number << 4 | more << 3 | exponent).to_bytes(3, "big").lstrip(b"\0"),
        st.integers(0, 4),
        st.integers(0, 1),
        st.sampled_from([0, 0, 0, 1, 6, 7]),
    ),
    st.binary(max_size=4),
)
known_options = st.one_of(
    st.tuples(st.sampled_from([OptionNumber.BLOCK1, OptionNumber.BLOCK2]).map(int), block_values),
    st.tuples(st.sampled_from(list(OptionNumber)).map(int), st.binary(max_size=6)),
)
any_options = st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40))
extra_options: st.SearchStrategy[list[Option]] = st.lists(st.one_of(known_options, any_options), max_size=3)

codes = st.one_of(
    st.sampled_from([Code.POST, Code.POST, Code.PUT, Code.GET, Code.DELETE, Code.EMPTY, Code.CREATED]).map(int),
    st.integers(0, 255),
)
types = st.sampled_from([Type.CON, Type.CON, Type.CON, Type.NON, Type.NON, Type.ACK, Type.RST])
mids = st.integers(0, 7)
"""Few, so that duplicates and mistaken identities happen."""

payloads = st.one_of(
    st.sampled_from([b"", b"{}", bytes(16), b"x" * 32, b"\xff", b"later", b"refuse", b"x" * 2000]),
    st.binary(max_size=80),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A POST to an endpoint, of the shape that the express lane takes."""
    return encode_message(
        draw(st.sampled_from([Type.CON, Type.NON])),
        Code.POST,
        draw(mids),
        draw(st.sampled_from([b"", b"t", b"\xff" * 8])),
        [(OptionNumber.URI_PATH, b"i"), (OptionNumber.URI_PATH, b"key")],
        draw(payloads),
    )


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """A block of 16 bytes to an endpoint, more or less in order."""
    number, more = draw(st.integers(0, 3)), draw(st.booleans())
    value = (number << 4 | more << 3).to_bytes(1, "big").lstrip(b"\0")
    options = [(OptionNumber.URI_PATH, b"i"), (OptionNumber.URI_PATH, b"key"), (OptionNumber.BLOCK1, value)]
    return encode_message(
        draw(st.sampled_from([Type.CON, Type.NON])), Code.POST, draw(mids), b"b", options, draw(st.binary(max_size=16))
    )


messages = st.builds(
    lambda type_, code, mid, token, path, options, payload: encode_message(
        type_, code, mid, token, [*path, *options], payload
    ),
    types,
    codes,
    mids,
    st.binary(max_size=8),
    paths,
    extra_options,
    payloads,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message in which bits flipped, bytes came, went or were doubled."""
    data = bytearray(draw(st.one_of(messages, requests(), blocks())))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0 if data:
                data[position] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del data[position:]
            case 2:
                data[position:position] = draw(st.binary(min_size=1, max_size=5))
            case 3:
                end = position + draw(st.integers(1, 12))
                data[position:position] = data[position:end]  # an option that comes twice, say
            case _:
                del data[position : position + draw(st.integers(1, 4))]
    return bytes(data)


datagrams = st.one_of(st.binary(max_size=100), requests(), blocks(), messages, mutated(), mutated())
