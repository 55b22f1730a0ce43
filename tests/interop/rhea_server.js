#!/usr/bin/env node
// rhea as a server: a queue for each address; what is sent to `reject`, `release` and `modify` gets that outcome. Prints its port.
//
//   rhea_server.js [--mechanism NAME] [--certificate FILE --key FILE --authority FILE] [--max-frame-size OCTETS]
//   rhea_server.js --websocket SUB_PROTOCOL
//
// The user of PLAIN is `tim` with `secret`; that of EXTERNAL needs a certificate of the authority.
'use strict';
const fs = require('fs');
const { parseArgs } = require('util');
const rhea = require('rhea');
const { SESSION_BUFFER, keepPayloads } = require('./rhea_messages.js');

const { values } = parseArgs({
  options: {
    mechanism: { type: 'string', default: 'ANONYMOUS' }, websocket: { type: 'string' }, authority: { type: 'string' },
    certificate: { type: 'string' }, key: { type: 'string' }, 'max-frame-size': { type: 'string' },
  },
});

// Payloads are passed on as they came.
keepPayloads();
const container = rhea.create_container();
const mechanisms = container.sasl_server_mechanisms;
if (values.mechanism === 'ANONYMOUS') mechanisms.enable_anonymous();
if (values.mechanism === 'PLAIN') mechanisms.enable_plain((user, password) => user === 'tim' && password === 'secret');

const queues = new Map();
const queueOf = (address) => {
  if (!queues.has(address)) queues.set(address, { payloads: [], senders: new Set() });
  return queues.get(address);
};

// rhea takes more than there is credit for: what it has not sent yet counts.
function credit(sender) {
  sender.waiting = (sender.waiting || []).filter((delivery) => delivery.id >= sender.session.outgoing.next_pending_delivery);
  return sender.credit - sender.waiting.length;
}

function deliver(queue) {
  for (const sender of queue.senders) {
    while (queue.payloads.length && sender.sendable() && credit(sender) > 0) {
      const payload = queue.payloads.shift();
      sender.waiting.push(Object.assign(sender.send(payload, undefined, 0), { payload }));
    }
  }
}

const ANSWERS = { reject: 'reject', release: 'release', modify: 'modified' };

container.on('receiver_open', ({ receiver }) => {
  receiver.set_source(receiver.source);
  receiver.set_target(receiver.target);
  // What it agrees to; rhea says nothing of it by itself.
  receiver.local.attach.rcv_settle_mode = receiver.rcv_settle_mode;
});
container.on('message', ({ message, receiver, delivery }) => {
  const { address } = receiver.target;
  if (delivery.remote_settled) delivery.settled = true;
  else delivery[ANSWERS[address] || 'accept'](address === 'modify' ? { delivery_failed: true } : undefined);
  if (ANSWERS[address]) return;
  queueOf(address).payloads.push(message.payload);
  deliver(queueOf(address));
});

container.on('sender_open', ({ sender }) => {
  sender.set_source(sender.source);
  sender.set_target(sender.target);
  sender.local.attach.snd_settle_mode = sender.snd_settle_mode;
  sender.local.attach.rcv_settle_mode = sender.rcv_settle_mode;
  queueOf(sender.source.address).senders.add(sender);
});
container.on('sender_close', ({ sender }) => queueOf(sender.source.address).senders.delete(sender));
container.on('sendable', ({ sender }) => deliver(queueOf(sender.source.address)));
container.on('sender_draining', ({ sender }) => {
  deliver(queueOf(sender.source.address));
  sender.set_drained(true);
});
// In mode second the receiver waits for this.
container.on('accepted', ({ delivery }) => { if (!delivery.remote_settled) delivery.update(true); });
for (const outcome of ['released', 'modified']) {
  container.on(outcome, ({ sender, delivery }) => {
    const queue = queueOf(sender.source.address);
    queue.payloads.unshift(delivery.payload);
    deliver(queue);
  });
}

const options = {
  port: 0, host: '127.0.0.1', receiver_options: { autoaccept: false }, sender_options: { treat_modified_as_released: false },
  max_frame_size: Number(values['max-frame-size']) || undefined, require_sasl: values.mechanism !== 'NONE',
  session_buffer_size: SESSION_BUFFER,
};
if (values.certificate) {
  const [cert, key, ca] = [values.certificate, values.key, values.authority].map((file) => fs.readFileSync(file));
  const external = values.mechanism === 'EXTERNAL';
  Object.assign(options, { transport: 'tls', cert, key, ca, requestCert: external, enable_sasl_external: external });
}

function listen() {
  if (!values.websocket) return container.listen(options);
  const { WebSocketServer } = require('ws');
  const handleProtocols = (offered) => (offered.has(values.websocket) ? values.websocket : false);
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols });
  server.on('connection', (socket) => container.websocket_accept(socket, options));
  return server;
}
const server = listen();
server.on('listening', () => console.log(server.address().port));
