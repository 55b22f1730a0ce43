#!/usr/bin/env node
// rhea as a server on WebSocket: one queue, whatever the address. Prints its port.
'use strict';
const { WebSocketServer } = require('ws');
const rhea = require('rhea');

const container = rhea.create_container();
container.sasl_server_mechanisms.enable_anonymous();

// Payloads are kept as they came: rhea's decoder drops the types of what it reads.
const decode = rhea.message.decode;
rhea.message.decode = (buffer) => Object.assign(decode(buffer), { payload: buffer });

const queue = [];
const senders = new Set();
function deliver() {
  for (const sender of senders) while (queue.length && sender.sendable()) sender.send(queue.shift(), undefined, 0);
}

container.on('receiver_open', ({ receiver }) => receiver.set_target(receiver.target));
container.on('message', ({ message }) => { queue.push(message.payload); deliver(); });
container.on('sender_open', ({ sender }) => { sender.set_source(sender.source); senders.add(sender); });
container.on('sender_close', ({ sender }) => senders.delete(sender));
container.on('sendable', deliver);

const [subProtocol] = process.argv.slice(2);
const server = new WebSocketServer({
  port: 0, host: '127.0.0.1', handleProtocols: (offered) => (offered.has(subProtocol) ? subProtocol : false),
});
server.on('connection', (socket) => container.websocket_accept(socket, {}));
server.on('listening', () => console.log(server.address().port));
