var result = {
    deviceName: text(0, 6),
    deviceType: text(6, 13),
    telemetry: {
        temperature: parseFloat(text(13, 17)),
        humidity: parseFloat(text(17, 19))
    }
};

function text(from, to) {
    return String.fromCharCode.apply(String, payload.slice(from, to));
}

return result;
