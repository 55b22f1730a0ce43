#!/usr/bin/env node
// rhea as the ordinary client that `amqp10 conform --client PORT` tests.
//
//   rhea_ordinary.js PORT
//
// It connects again and again until nobody listens any more; README.md beside this file says what it does each time.
'use strict';
const rhea = require('rhea');

const MESSAGES = 10;

function work(port) {
  const container = rhea.create_container();
  const mechanisms = Object.create(require('rhea/lib/sasl.js').client_mechanisms());
  mechanisms.enable_anonymous();
  const connection = container.connect({
    host: '127.0.0.1', port, reconnect: false, idle_time_out: 10000, sasl_mechanisms: mechanisms,
  });
  const sender = connection.open_sender({ target: 'conform', autosettle: true });
  const receiver = connection.open_receiver({ source: 'conform', autoaccept: true });
  let sent = 0;
  let settled = 0;
  sender.on('sendable', () => {
    while (sent < MESSAGES && sender.credit > 0 && sender.sendable()) {
      sender.send({ body: rhea.message.data_section(Buffer.alloc(sent % 3 === 0 ? 3000 : 10)) });
      sent += 1;
    }
    if (sender.drain) sender.set_drained(true);
  });
  sender.on('sender_draining', () => sender.set_drained(true));
  sender.on('settled', () => {
    settled += 1;
    if (settled === MESSAGES) receiver.drain_credit();
  });
  receiver.on('receiver_drained', () => {
    sender.close();
    receiver.close();
    sender.session.close();
    connection.close();
  });
  for (const scope of ['sender', 'receiver', 'session']) {
    container.on(`${scope}_error`, () => {});
    // Not before rhea has answered.
    container.on(`${scope}_close`, () => setImmediate(() => connection.close()));
  }
  for (const event of ['connection_error', 'protocol_error', 'error']) container.on(event, () => {});
  container.on('disconnected', () => {});
  // What breaks rhea's connection breaks no other case.
  connection.socket.once('error', ({ code }) => { if (code === 'ECONNREFUSED') process.exit(0); });
  connection.socket.once('close', () => setImmediate(work, port));
}

process.on('uncaughtException', (error) => console.error(error));
work(Number(process.argv[2]));
