import orjson


def decode(payload: bytes, metadata: dict[str, str]) -> dict[str, object]:
    data = orjson.loads(payload)
    return {
        "deviceName": data["deviceName"],
        "deviceType": data["deviceType"],
        "telemetry": {"temperature": data["temperature"], "humidity": data["humidity"]},
    }
