// SN-001,default,temperature,25.7,humidity,69
var parts = String.fromCharCode.apply(String, payload).trim().split(",");
var telemetry = {};
for (var i = 2; i + 1 < parts.length; i += 2) {
  telemetry[parts[i]] = parseFloat(parts[i + 1]);
}
return { deviceName: parts[0], deviceType: parts[1], telemetry: telemetry };
