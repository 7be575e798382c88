var data = decodeToJson(payload);

var result = {
    deviceName: data.deviceName,
    deviceType: data.deviceType,
    telemetry: {
        temperature: data.temperature,
        humidity: data.humidity
    }
};

function decodeToString(payload) {
    return String.fromCharCode.apply(String, payload);
}

function decodeToJson(payload) {
    return JSON.parse(decodeToString(payload));
}

return result;
