var data = decodeCbor(payload);

return {
    deviceName: data.deviceName,
    deviceType: data.deviceType,
    telemetry: {
        temperature: data.temperature,
        humidity: data.humidity
    }
};
