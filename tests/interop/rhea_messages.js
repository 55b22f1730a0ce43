// Messages in rhea, to and from lines of JSON as README.md beside this file describes them.
'use strict';
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

// Keep the octets of each payload beside what rhea's decoder makes of them: it drops the types of what it reads.
function keepPayloads() {
  const decode = rhea.message.decode;
  rhea.message.decode = (buffer) => Object.assign(decode(buffer), { payload: buffer });
}

// A session's window in frames: rhea opens it only between messages, so the largest message must fit into it.
const SESSION_BUFFER = { incoming: 1 << 18, outgoing: 2048 };

const PATTERN = Buffer.from(Array.from({ length: 251 }, (_, i) => i));

// The body of message `number`: `size` octets that depend on it.
const patternOf = (number, size) => Buffer.alloc(size + 251, PATTERN).subarray(number % 251, number % 251 + size);

const numbered = (number, size) => ({ message_id: number, body: rhea.message.data_section(patternOf(number, size)) });

module.exports = { SESSION_BUFFER, keepPayloads, messageToJson, messageFromJson, numbered, patternOf };
