"""Files as answers."""

import pytest

from gateway.api.downloads import attachment


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("ca.pem", "attachment; filename=\"ca.pem\"; filename*=UTF-8''ca.pem"),
        ('a"b\r\n/ü.json', "attachment; filename=\"a_b____.json\"; filename*=UTF-8''a%22b%0D%0A%2F%C3%BC.json"),
    ],
)
def test_a_name_can_not_break_out_of_its_header(name: str, header: str) -> None:
    assert attachment(name) == {"Content-Disposition": header}
