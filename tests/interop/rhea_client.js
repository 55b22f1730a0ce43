#!/usr/bin/env node
// rhea as a client: sends messages to a node, or receives from it.
//
//   rhea_client.js send URL ADDRESS --messages FILE | --count N --size BYTES  [--settled | --second]
//   rhea_client.js receive URL ADDRESS COUNT [--outcome accepted|rejected|released|modified] [--size BYTES] [--settled | --second]
//   rhea_client.js drain URL ADDRESS CREDIT
//   rhea_client.js get URL ADDRESS
//
// A URL with ws:// is reached by WebSocket, with the sub-protocol of --sub-protocol.
// README.md beside this file says what each verb prints, how messages are written as JSON, and what the other options are.
'use strict';
const fs = require('fs');
const { parseArgs } = require('util');
const rhea = require('rhea');
const { SESSION_BUFFER, keepPayloads, messageToJson, messageFromJson, numbered, patternOf } = require('./rhea_messages.js');

const print = (line) => console.log(JSON.stringify(line));

function fail(reason) {
  console.error(`rhea_client: ${reason}`);
  process.exit(1);
}

// As whom, by which mechanism, and by which transport.
function access({ protocol, hostname, port, username, password }, container) {
  const options = {
    host: hostname, port, reconnect: false, max_frame_size: Number(values['max-frame-size']) || undefined,
    session_buffer_size: SESSION_BUFFER,
  };
  const mechanism = values.mechanism || (password ? 'PLAIN' : 'ANONYMOUS');
  const mechanisms = Object.create(require('rhea/lib/sasl.js').client_mechanisms());
  if (mechanism === 'PLAIN') mechanisms.enable_plain(username, password);
  else if (mechanism === 'EXTERNAL') mechanisms.enable_external();
  else mechanisms.enable_anonymous();
  if (mechanism !== 'NONE') options.sasl_mechanisms = mechanisms;
  if (protocol === 'amqps:') {
    Object.assign(options, { transport: 'tls', servername: 'localhost', ca: fs.readFileSync(values.authority) });
    if (values.key) Object.assign(options, { key: fs.readFileSync(values.key), cert: fs.readFileSync(values.certificate) });
  }
  if (protocol.startsWith('ws')) {
    options.connection_details = container.websocket_connect(require('ws'))(values.url, values['sub-protocol'], {});
  }
  return options;
}

function connect(url) {
  const container = rhea.create_container();
  for (const scope of ['connection', 'session', 'receiver', 'sender']) {
    container.on(`${scope}_error`, (context) => {
      const { condition, description } = context[scope].error || context.error;
      fail(`${scope}: ${condition}: ${description}`);
    });
  }
  container.on('protocol_error', (error) => fail(`protocol: ${error.message}`));
  container.on('disconnected', (context) => fail(`disconnected: ${context.error?.message || context.error || 'by the peer'}`));
  return container.connect(access(new URL(url), container));
}

function close(connection) {
  connection.container.removeAllListeners('disconnected');
  connection.close();
  // Not before all is printed: a pipe takes it bit by bit.
  connection.once('connection_close', () => process.stdout.write('', () => process.exit(0)));
}

function outgoing({ messages, count, size }) {
  if (!messages) return Array.from({ length: Number(count) }, (_, number) => numbered(number, Number(size || 100)));
  return fs.readFileSync(messages, 'utf8').trim().split('\n').map((line) => messageFromJson(JSON.parse(line)));
}

function send({ url, address, settled, second, ...what }) {
  const messages = outgoing(what);
  const outcomes = { accepted: 0, rejected: 0, released: 0, modified: 0, settled: 0 };
  const connection = connect(url);
  const { container } = connection;
  const done = (outcome) => {
    outcomes[outcome] += 1;
    if (Object.values(outcomes).reduce((a, b) => a + b) < messages.length) return;
    print(outcomes);
    close(connection);
  };
  let next = 0;
  container.on('sendable', ({ sender }) => {
    // rhea takes more than there is credit for, and drops it when the connection closes.
    const allowed = Math.min(messages.length, sender.delivery_count + sender.credit);
    while (sender.sendable() && next < allowed) {
      const message = messages[next++];
      sender.send(message, undefined, Buffer.isBuffer(message) ? 0 : undefined);
      if (settled) done('settled');
    }
  });
  for (const outcome of ['accepted', 'rejected', 'released', 'modified']) {
    container.on(outcome, ({ delivery }) => {
      // In mode second the receiver waits for this.
      if (!delivery.remote_settled) delivery.update(true);
      done(outcome);
    });
  }
  connection.open_sender({
    target: address, snd_settle_mode: settled ? 1 : 0, rcv_settle_mode: second ? 1 : 0, autosettle: true,
    treat_modified_as_released: false,
  });
}

// The number of a message of the pattern, whose body must be that of its number.
function numberOf({ message_id: number, body }, size) {
  const sent = patternOf(number, Number(size));
  if (!sent.equals(body.content)) fail(`the body of message ${number} is not what was sent`);
  return { number };
}

function open_receiver({ url, address, settled, second }) {
  keepPayloads();
  const connection = connect(url);
  connection.open_receiver({
    source: address, credit_window: 0, autoaccept: false, snd_settle_mode: settled ? 1 : 2, rcv_settle_mode: second ? 1 : 0,
  });
  return connection;
}

function receive({ count, outcome, size, settled, second, ...where }) {
  const connection = open_receiver({ settled, second, ...where });
  const settle = { accepted: 'accept', rejected: 'reject', released: 'release', modified: 'modified' }[outcome];
  let received = 0;
  let settledByBoth = 0;
  connection.on('receiver_open', ({ receiver }) => receiver.add_credit(count));
  connection.on('message', ({ message, delivery }) => {
    // rhea counts from 0 instead of the sender's initial-delivery-count, so a sender that starts below 2^32 sends more.
    if (received === count) return;
    if (settled !== Boolean(delivery.remote_settled)) fail(`message ${received} is ${settled ? 'not ' : ''}settled`);
    print(size ? numberOf(message, size) : messageToJson(message.payload));
    if (settled) delivery.settled = true;
    else delivery[settle](outcome === 'modified' ? { delivery_failed: true } : undefined);
    received += 1;
    if (received === count && !second) close(connection);
  });
  connection.on('settled', () => {
    settledByBoth += 1;
    if (second && settledByBoth === count) close(connection);
  });
}

function drain({ count, ...where }) {
  const connection = open_receiver(where);
  let received = 0;
  connection.on('receiver_open', ({ receiver }) => {
    receiver.add_credit(count);
    receiver.drain_credit();
  });
  connection.on('message', ({ message, delivery }) => {
    print(numberOf(message, 100));
    delivery.accept();
    received += 1;
  });
  connection.on('receiver_drained', () => {
    print({ drained: received });
    close(connection);
  });
}

function get(where) {
  const connection = open_receiver(where);
  let found;
  const next = (receiver) => {
    found = false;
    receiver.add_credit(1);
    receiver.drain_credit();
  };
  connection.on('receiver_open', ({ receiver }) => next(receiver));
  connection.on('message', ({ message, delivery }) => {
    print(numberOf(message, 100));
    delivery.accept();
    found = true;
  });
  // Told for each credit, also when a message has used it.
  connection.on('receiver_drained', ({ receiver }) => { if (found) next(receiver); else close(connection); });
}

const VERBS = { send, receive, drain, get };
const { values, positionals: [verb, url, address, number] } = parseArgs({
  allowPositionals: true,
  options: {
    messages: { type: 'string' }, count: { type: 'string', default: '1' }, size: { type: 'string' },
    settled: { type: 'boolean', default: false }, second: { type: 'boolean', default: false },
    outcome: { type: 'string', default: 'accepted' }, 'sub-protocol': { type: 'string', default: 'amqp' },
    mechanism: { type: 'string' }, authority: { type: 'string' }, certificate: { type: 'string' }, key: { type: 'string' },
    'max-frame-size': { type: 'string' }, timeout: { type: 'string', default: '1800' },
  },
});
if (!address || !VERBS[verb]) fail('usage: send|receive|drain|get URL ADDRESS ...');
values.url = url;
setTimeout(() => fail('time-out'), Number(values.timeout) * 1000).unref();
VERBS[verb]({ ...values, address, ...(verb === 'send' ? {} : { count: Number(number) }) });
