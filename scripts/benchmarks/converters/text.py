def decode(payload: bytes, metadata: dict[str, str]) -> dict[str, object]:
    name, kind, _, temperature, _, humidity = payload.decode().strip().split(",")
    return {
        "deviceName": name,
        "deviceType": kind,
        "telemetry": {"temperature": float(temperature), "humidity": int(humidity)},
    }
