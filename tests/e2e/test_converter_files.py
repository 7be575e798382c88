"""A converter of ThingsBoard's, imported and at work: what its updateOnlyKeys name is written where it changes."""

from .harness import DEMO, Gateway, coap_client, eventually


def test_an_imported_converter_writes_its_update_only_keys_where_they_change(gateway: Gateway) -> None:
    gateway.command("converter", "import", str(DEMO / "thingsboard.json"), "--name", "hall")
    gateway.command("converter", "update", "hall", "--update-only-key", "fw", "--update-only-key", "temperature")
    created = gateway.json("integration", "create", "hall", "--converter", "hall")
    (url,) = created["endpoints"]
    gateway.start()
    for temperature in (21, 21, 21.5, 21.5, 21):
        payload = f'{{"id": "SN-7", "fw": "1.2", "t": {temperature}}}'.encode()
        assert coap_client("-m", "post", url, payload=payload) == ""

    def history() -> list[float]:
        return [sample["value"] for sample in gateway.device("SN-7", "--history", "temperature")["history"]]

    eventually(lambda: history() == [21, 21.5, 21], "three changes are written")
    device = gateway.device("SN-7")
    assert device["attributes"]["fw"]["value"] == "1.2"
    assert device["attributes"]["fw"]["ts"] < device["last_seen_ts"]
    gateway.command("converter", "update", "hall", "--update-only-key", "")
    before = len(history())

    def is_written() -> bool:
        coap_client("-m", "post", url, payload=b'{"id": "SN-7", "fw": "1.2", "t": 21}')
        return len(history()) > before

    eventually(is_written, "without the list everything is written again")
