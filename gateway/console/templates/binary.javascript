// Bytes 0-5 name, 6-12 type, 13-16 temperature, 17-18 humidity, all ASCII
function text(from, to) {
  return String.fromCharCode.apply(String, payload.slice(from, to));
}
return {
  deviceName: text(0, 6),
  deviceType: text(6, 13),
  telemetry: { temperature: parseFloat(text(13, 17)), humidity: parseFloat(text(17, 19)) }
};
