"""Which devices are connected, and who of them has fallen silent."""

from gateway.sinks.thingsboard_devices import ConnectedDevices


def connected(*names: str, most: int = 10) -> ConnectedDevices:
    """Devices that were connected a second after each other, from 1 on."""
    devices = ConnectedDevices(most)
    for now_s, name in enumerate(names, 1):
        devices.add(name, now_s)
    return devices


def test_who_was_not_added_is_not_connected() -> None:
    devices = connected("a")
    assert devices.hear("a", 5)
    assert not devices.hear("b", 5)


def test_the_silent_ones_are_those_not_heard_of_since_then() -> None:
    devices = connected("a", "b", "c")
    assert [devices.silent_since(then_s, 10) for then_s in (0.9, 1, 2, 9)] == [[], ["a"], ["a", "b"], ["a", "b", "c"]]


def test_the_longest_silent_come_first_and_no_more_than_are_asked_for() -> None:
    devices = connected("a", "b", "c")
    devices.hear("a", 4)
    assert devices.silent_since(9, 2) == ["b", "c"]


def test_who_is_removed_is_not_connected() -> None:
    devices = connected("a", "b")
    devices.remove("a")
    devices.remove("never there")
    assert (len(devices), devices.hear("a", 5), devices.silent_since(9, 9)) == (1, False, ["b"])


def test_beyond_the_bound_the_longest_silent_is_forgotten() -> None:
    devices = connected("a", "b", "c", most=3)
    devices.hear("a", 4)
    devices.add("d", 5)
    assert [devices.hear(name, 6) for name in "abcd"] == [True, False, True, True]
