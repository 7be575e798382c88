def decode(payload: bytes, metadata: dict[str, str]) -> dict[str, object]:
    data = decodeCbor(payload)  # noqa: F821  the gateway puts it into the module's namespace
    return {
        "deviceName": data["deviceName"],
        "deviceType": data["deviceType"],
        "telemetry": {"temperature": data["temperature"], "humidity": data["humidity"]},
    }
