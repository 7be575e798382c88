// A CoAP client upon node-coap-client and node-dtls-client: node_coap_client.js PORT IDENTITY PSK
// Makes one request and prints what comes.

const { CoapClient } = require("node-coap-client");

async function main(port, identity, psk) {
  CoapClient.setSecurityParams("127.0.0.1", { psk: { [identity]: psk } });
  const response = await CoapClient.request(`coaps://127.0.0.1:${port}/x`, "get");
  console.log(response.payload.toString());
  CoapClient.reset();
}

main(...process.argv.slice(2));
