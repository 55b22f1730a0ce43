#!/usr/bin/env node
// rhea as a client: sends messages to a node, or receives from it.
//
//   rhea_client.js send URL ADDRESS --messages FILE | --count N --size BYTES  [--settled]
//   rhea_client.js receive URL ADDRESS COUNT [--outcome accepted|rejected|released|modified]
//
// A URL with ws:// is reached by WebSocket, with the sub-protocol of --sub-protocol.
// `receive` prints one JSON line for each message, `send` one with the count of each outcome.
// README.md beside this file says how a message and its typed values are written as JSON.
'use strict';
const fs = require('fs');
const { parseArgs } = require('util');
const rhea = require('rhea');
const types = rhea.types;

const HEADER = ['durable', 'priority', 'ttl', 'first_acquirer', 'delivery_count'];
const PROPERTIES = ['message_id', 'user_id', 'to', 'subject', 'reply_to', 'correlation_id', 'content_type',
  'content_encoding', 'absolute_expiry_time', 'creation_time', 'group_id', 'group_sequence', 'reply_to_group_id'];
const MAPS = { delivery_annotations: 0x71, message_annotations: 0x72, application_properties: 0x74, footer: 0x78 };
const SECTIONS = Object.fromEntries(Object.entries(MAPS).map(([name, code]) => [code, name]));
const HEADER_DEFAULTS = { durable: 'false', priority: '"4"', first_acquirer: 'false', delivery_count: '"0"' };

// Our name of each encoding that rhea knows: 'SmallUlong', 'Ulong0' and 'Ulong' are all 'ulong'.
const NAMES = { true: 'bool', false: 'bool', boolean: 'bool', charutf32: 'char', vbin: 'binary', str: 'string', sym: 'symbol' };
function nameOf(type) {
  const plain = type.name.toLowerCase().replace(/^small/, '');
  const family = plain.startsWith('decimal') || plain === 'charutf32' ? plain : plain.replace(/\d+$/, '');
  return NAMES[family] || family;
}

function octets(width, write) {
  const buffer = Buffer.alloc(width);
  write(buffer);
  return buffer;
}

const hyphenated = (hex) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

// The text of a scalar; rhea gives 64-bit numbers as octets where JavaScript's are too narrow.
function scalarText(name, value) {
  switch (name) {
    case 'float': return octets(4, (b) => b.writeFloatBE(value)).toString('hex');
    case 'double': return octets(8, (b) => b.writeDoubleBE(value)).toString('hex');
    case 'timestamp': return String(value.getTime());
    case 'ulong': return Buffer.isBuffer(value) ? String(value.readBigUInt64BE()) : String(value);
    case 'long': return Buffer.isBuffer(value) ? String(value.readBigInt64BE()) : String(value);
    case 'uuid': return hyphenated(value.toString('hex'));
    default: return Buffer.isBuffer(value) ? value.toString('hex') : String(value);
  }
}

const pairs = (items, convert) => items.filter((_, i) => i % 2 === 0).map((key, i) => [convert(key), convert(items[2 * i + 1])]);

// What rhea read from the wire, written as [type, text].
function toJson(typed) {
  const plain = plainToJson(typed);
  return typed.descriptor ? ['described', toJson(typed.descriptor), plain] : plain;
}

function plainToJson({ type, value, array_constructor: constructor }) {
  const name = nameOf(type);
  switch (name) {
    case 'null': return ['null'];
    case 'bool': return ['bool', Boolean(value)];
    case 'list': return ['list', value.map(toJson)];
    case 'map': return ['map', pairs(value, toJson)];
    case 'array': {
      const elements = value.map(toJson);
      if (!constructor.descriptor) return ['array', elements];
      return ['array', elements.map((element) => ['described', toJson(constructor.descriptor), element])];
    }
    default: return [name, scalarText(name, value)];
  }
}

const WIDE = { ulong: 'writeBigUInt64BE', long: 'writeBigInt64BE' };

// The value of one encoding, in the form that rhea's writer wants.
function scalar(name, text) {
  switch (name) {
    case 'ulong': case 'long': return octets(8, (b) => b[WIDE[name]](BigInt(text)));
    case 'float': return Buffer.from(text, 'hex').readFloatBE();
    case 'double': return Buffer.from(text, 'hex').readDoubleBE();
    case 'uuid': return Buffer.from(text.replaceAll('-', ''), 'hex');
    case 'binary': case 'decimal32': case 'decimal64': case 'decimal128': return Buffer.from(text, 'hex');
    case 'string': case 'symbol': return text;
    default: return Number(text);
  }
}

const WIDEST = { string: 'Str32', symbol: 'Sym32', binary: 'Vbin32', char: 'CharUTF32', list: 'List32', map: 'Map32',
  array: 'Array32', bool: 'Boolean' };
const widest = (name) => types[WIDEST[name] || name[0].toUpperCase() + name.slice(1)];

function arrayFromJson(elements) {
  const described = elements[0][0] === 'described';
  const plain = described ? elements.map((element) => element[2]) : elements;
  const code = widest(plain[0][0]).typecode;
  const values = plain.map(([name, content]) => name === 'bool' ? Number(content) : rawFromJson(name, content));
  return types.wrap_array(values, code, described ? fromJson(elements[0][1]) : undefined);
}

// An array's element: the value alone, because the array carries the constructor.
function rawFromJson(name, content) {
  if (name === 'list') return content.map(fromJson);
  if (name === 'map') return content.flat().map(fromJson);
  return scalar(name, content);
}

// The inverse of toJson, by rhea's own constructors.
function fromJson([name, content, value]) {
  switch (name) {
    case 'null': return types.Null();
    case 'described': return types.described(fromJson(content), fromJson(value));
    case 'bool': return types.wrap_boolean(content);
    case 'list': return content.length ? types.List32(content.map(fromJson)) : types.List0();
    case 'map': return types.Map32(content.flat().map(fromJson));
    case 'array': return arrayFromJson(content);
    case 'decimal32': case 'decimal64': case 'decimal128': return widest(name)(scalar(name, content));
    default: return types[`wrap_${name}`](scalar(name, content));
  }
}

function fieldsToJson(items, names, defaults = {}) {
  const typed = items.map((item, i) => [names[i], toJson(item)])
    .filter(([name, [type, text]]) => type !== 'null' && JSON.stringify(text) !== defaults[name]);
  return Object.fromEntries(typed);
}

// Read section by section: rhea's own decoder drops the types of what it reads.
function messageToJson(buffer) {
  const message = {};
  const reader = new types.Reader(buffer);
  while (reader.remaining()) {
    const section = reader.read();
    const code = Number(section.descriptor.value);
    const content = section.value;
    if (code === 0x70) message.header = fieldsToJson(content, HEADER, HEADER_DEFAULTS);
    else if (code === 0x73) message.properties = fieldsToJson(content, PROPERTIES);
    else if (code === 0x75) message.body = [...(message.body || ['data']), content.toString('hex')];
    else if (code === 0x76) message.body = [...(message.body || ['sequence']), content.map(toJson)];
    else if (code === 0x77) message.body = ['value', plainToJson(section)];
    else message[SECTIONS[code]] = pairs(content, toJson).sort();
  }
  for (const name of Object.keys(message)) if (Object.keys(message[name]).length === 0) delete message[name];
  return message;
}

function messageFromJson(message) {
  const sections = [];
  const section = (code, typed) => sections.push([code, typed]);
  const fields = (names, typed) => types.List32(names.map((name) => fromJson(typed[name] || ['null'])));
  if (message.header) section(0x70, fields(HEADER, message.header));
  if (message.properties) section(0x73, fields(PROPERTIES, message.properties));
  for (const [name, code] of Object.entries(MAPS)) if (message[name]) section(code, fromJson(['map', message[name]]));
  const [kind, ...contents] = message.body;
  for (const content of contents) {
    if (kind === 'data') section(0x75, types.wrap_binary(Buffer.from(content, 'hex')));
    else if (kind === 'sequence') section(0x76, fromJson(['list', content]));
    else section(0x77, fromJson(content));
  }
  const writer = new types.Writer();
  for (const [code, typed] of sections.sort(([a], [b]) => a - b)) {
    // A value may be described itself, so the section's descriptor is written apart.
    writer.write_uint(0, 1);
    writer.write(types.wrap_ulong(code));
    writer.write(typed);
  }
  return Buffer.from(writer.toBuffer());
}

// Messages 0..count: the number as message-id, and a body of `size` octets that depends on it.
function numbered(count, size) {
  const pattern = Buffer.alloc(size + 251, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
  return Array.from({ length: count }, (_, number) => ({
    message_id: number,
    body: rhea.message.data_section(pattern.subarray(number % 251, number % 251 + size)),
  }));
}

function fail(reason) {
  console.error(`rhea_client: ${reason}`);
  process.exit(1);
}

function connect(url, container) {
  const { hostname, port, username, password } = new URL(url);
  for (const scope of ['connection', 'session', 'receiver', 'sender']) {
    container.on(`${scope}_error`, (context) => {
      const { condition, description } = context[scope].error || context.error;
      fail(`${scope}: ${condition}: ${description}`);
    });
  }
  container.on('disconnected', (context) => fail(`disconnected: ${context.error?.message || context.error || 'by the peer'}`));
  const login = { username: username || 'anonymous', password: password || undefined, reconnect: false };
  if (!url.startsWith('ws')) return container.connect({ host: hostname, port, ...login });
  const webSocket = container.websocket_connect(require('ws'));
  return container.connect({ connection_details: webSocket(url, values['sub-protocol'], {}), ...login });
}

// Keep the octets of each payload beside what rhea's decoder makes of them.
function keepPayloads() {
  const decode = rhea.message.decode;
  rhea.message.decode = (buffer) => Object.assign(decode(buffer), { payload: buffer });
}

function close(connection) {
  connection.container.removeAllListeners('disconnected');
  connection.close();
  // Not before all is printed: a pipe takes it bit by bit.
  connection.once('connection_close', () => process.stdout.write('', () => process.exit(0)));
}

function send({ url, address, messages, count, size, settled }) {
  const container = rhea.create_container();
  const outgoing = messages
    ? fs.readFileSync(messages, 'utf8').trim().split('\n').map((line) => messageFromJson(JSON.parse(line)))
    : numbered(count, size);
  const outcomes = { accepted: 0, rejected: 0, released: 0, modified: 0, settled: 0 };
  const connection = connect(url, container);
  const done = (outcome) => {
    outcomes[outcome] += 1;
    if (Object.values(outcomes).reduce((a, b) => a + b) < outgoing.length) return;
    console.log(JSON.stringify(outcomes));
    close(connection);
  };
  let next = 0;
  container.on('sendable', ({ sender }) => {
    // rhea takes more than there is credit for, and drops it when the connection closes.
    const allowed = Math.min(outgoing.length, sender.delivery_count + sender.credit);
    while (sender.sendable() && next < allowed) {
      const message = outgoing[next++];
      sender.send(message, undefined, Buffer.isBuffer(message) ? 0 : undefined);
      if (settled) done('settled');
    }
  });
  for (const outcome of ['accepted', 'rejected', 'released', 'modified']) container.on(outcome, () => done(outcome));
  connection.open_sender({ target: address, snd_settle_mode: settled ? 1 : 0, autosettle: true });
}

function receive({ url, address, count, outcome }) {
  keepPayloads();
  const container = rhea.create_container();
  const connection = connect(url, container);
  const receiver = connection.open_receiver({ source: address, credit_window: 0, autoaccept: false });
  const settle = { accepted: 'accept', rejected: 'reject', released: 'release', modified: 'modified' }[outcome];
  let received = 0;
  container.on('receiver_open', () => receiver.add_credit(count));
  container.on('message', ({ message, delivery }) => {
    // rhea counts from 0 instead of the sender's initial-delivery-count, so a sender that starts below 2^32 sends more.
    if (received === count) return;
    console.log(JSON.stringify(messageToJson(message.payload)));
    delivery[settle](outcome === 'modified' ? { delivery_failed: true } : undefined);
    received += 1;
    if (received === count) close(connection);
  });
}

const { values, positionals: [verb, url, address, number] } = parseArgs({
  allowPositionals: true,
  options: {
    messages: { type: 'string' }, count: { type: 'string', default: '1' }, size: { type: 'string', default: '100' },
    settled: { type: 'boolean', default: false }, outcome: { type: 'string', default: 'accepted' },
    'sub-protocol': { type: 'string', default: 'amqp' }, timeout: { type: 'string', default: '60' },
  },
});
if (!address || !['send', 'receive'].includes(verb)) fail('usage: send|receive URL ADDRESS ...');
setTimeout(() => fail('time-out'), Number(values.timeout) * 1000).unref();
if (verb === 'send') send({ ...values, url, address, count: Number(values.count), size: Number(values.size) });
else receive({ ...values, url, address, count: Number(number) });
