var parts = decodeToString(payload).trim().split(",");

var result = {
    deviceName: parts[0],
    deviceType: parts[1],
    telemetry: {
        temperature: parseFloat(parts[3]),
        humidity: parseFloat(parts[5])
    }
};

function decodeToString(payload) {
    return String.fromCharCode.apply(String, payload);
}

return result;
