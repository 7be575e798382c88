def decode(payload: bytes, metadata: dict[str, str]) -> dict[str, object]:
    text = payload.decode()
    return {
        "deviceName": text[:6],
        "deviceType": text[6:13],
        "telemetry": {"temperature": float(text[13:17]), "humidity": int(text[17:19])},
    }
