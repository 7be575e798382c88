// {"deviceName": "SN-001", "deviceType": "default", "temperature": 25.7, "humidity": 69}
var data = JSON.parse(String.fromCharCode.apply(String, payload));
return {
  deviceName: data.deviceName,
  deviceType: data.deviceType,
  telemetry: { temperature: data.temperature, humidity: data.humidity }
};
