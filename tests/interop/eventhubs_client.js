#!/usr/bin/env node
// @azure/event-hubs, Microsoft's client for JavaScript. The command line is that of every official client here: README.md;
// `send` also takes --buffered and --idempotent.
'use strict';

const { readFileSync } = require('node:fs');
const net = require('node:net');
const { createInterface } = require('node:readline');
const { parseArgs } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const {
  EventHubBufferedProducerClient, EventHubConsumerClient, EventHubProducerClient, CloseReason,
} = require('@azure/event-hubs');
const { BlobCheckpointStore } = require('@azure/eventhubs-checkpointstore-blob');
const { ContainerClient } = require('@azure/storage-blob');
const { types } = require('rhea');

const { values: options, positionals: [connectionString, hub, verb, ...operands] } = parseArgs({
  allowPositionals: true,
  options: {
    websocket: { type: 'boolean' },
    endpoint: { type: 'string' },
    ca: { type: 'string' },
    count: { type: 'string', default: '1' },
    size: { type: 'string', default: '100' },
    batch: { type: 'boolean' },
    buffered: { type: 'boolean' },
    idempotent: { type: 'boolean' },
    types: { type: 'boolean' },
    pause: { type: 'string', default: '0' },
    'partition-id': { type: 'string' },
    'partition-key': { type: 'string' },
    group: { type: 'string', default: '$Default' },
    partition: { type: 'string' },
    from: { type: 'string', default: 'earliest' },
    inclusive: { type: 'boolean' },
    'owner-level': { type: 'string' },
    blobs: { type: 'string' },
    container: { type: 'string' },
  },
});

// On a machine that is busy, localhost needs more than the quarter of a second that Node gives each of its addresses.
net.setDefaultAutoSelectFamilyAttemptTimeout(5000);

const clientOptions = {
  retryOptions: { maxRetries: 6, retryDelayInMs: 200, timeoutInMs: 20000 },
  ...(options.endpoint && { customEndpointAddress: options.endpoint }),
  ...(options.websocket && {
    webSocketOptions: { webSocket: require('ws'), webSocketConstructorOptions: options.ca && { ca: readFileSync(options.ca) } },
  }),
};
const route = Object.fromEntries(
  [['partitionId', options['partition-id']], ['partitionKey', options['partition-key']]].filter(([, value]) => value !== undefined));

const show = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function toJson(value) {
  if (value instanceof Date) return value.getTime();
  if (value instanceof Uint8Array) {
    const octets = Buffer.from(value);
    const text = octets.toString();
    return Buffer.from(text).equals(octets) ? text : { base64: octets.toString('base64') };
  }
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(toJson);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  return value === undefined ? null : value;
}

// Event `number`: the number at the start of a body of `size` octets, and properties of several types.
function numberedEvent(number) {
  return {
    body: Buffer.from(`event ${number} `.padEnd(Number(options.size), '.')),
    properties: { number, text: `text ${number} \u65e5\u672c`, even: number % 2 === 0, half: types.wrap_double(number / 2) },
    messageId: `id-${number}`,
    correlationId: `correlation-${number}`,
    contentType: 'text/plain',
  };
}

// Event 0 with a property of each AMQP type that the client can write, named after the type; JavaScript itself knows few.
function eventOfEveryType() {
  const properties = {
    null: null,
    bool: true,
    ubyte: types.wrap_ubyte(2 ** 8 - 1),
    ushort: types.wrap_ushort(2 ** 16 - 1),
    uint: types.wrap_uint(2 ** 32 - 1),
    ulong: types.wrap_ulong(Number.MAX_SAFE_INTEGER),
    byte: types.wrap_byte(-(2 ** 7)),
    short: types.wrap_short(-(2 ** 15)),
    int: types.wrap_int(-(2 ** 31)),
    long: types.wrap_long(Number.MIN_SAFE_INTEGER),
    float: types.wrap_float(1.5),
    double: types.wrap_double(-0.1),
    char: types.wrap_char('\u00e9'.codePointAt(0)),
    timestamp: types.wrap_timestamp(1700000000123),
    uuid: types.wrap_uuid(Buffer.from('00112233445566778899aabbccddeeff', 'hex')),
    binary: types.wrap_binary(Buffer.from([0, 1, 254, 255])),
    string: 'k\u00e4se',
    symbol: types.wrap_symbol('a-symbol'),
  };
  return { body: Buffer.from('event 0 '), messageId: 'id-0', properties };
}

const eventsToSend = () => (options.types ? [eventOfEveryType()] : Array.from({ length: Number(options.count) }, (_, number) => numberedEvent(number)));

async function send() {
  const producer = new EventHubProducerClient(connectionString, hub, clientOptions);
  const batches = options.batch ? [eventsToSend()] : eventsToSend().map((event) => [event]);
  let sent = 0;
  for (const events of batches) {
    const batch = await producer.createBatch(route);
    for (const event of events) {
      if (!batch.tryAdd(event)) throw new Error(`no place in the batch for event ${event.messageId}`);
    }
    await producer.sendBatch(batch);
    show({ sent: sent += events.length });
    await sleep(Number(options.pause));
  }
  await producer.close();
}

async function sendBuffered() {
  let failure;
  let sent = 0;
  const producer = new EventHubBufferedProducerClient(connectionString, hub, {
    ...clientOptions,
    maxWaitTimeInMs: 50,
    enableIdempotentRetries: Boolean(options.idempotent),
    onSendEventsSuccessHandler: ({ events, partitionId }) => show({ sent: sent += events.length, partition: partitionId }),
    onSendEventsErrorHandler: ({ error }) => { failure = error; },
  });
  for (const event of eventsToSend()) {
    await producer.enqueueEvent(event, route);
    if (Number(options.pause)) await sleep(Number(options.pause));
  }
  await producer.close({ flush: true });
  if (failure) throw failure;
}

async function properties() {
  const producer = new EventHubProducerClient(connectionString, hub, clientOptions);
  const found = await producer.getEventHubProperties();
  const partitions = [];
  for (const id of found.partitionIds) {
    const partition = await producer.getPartitionProperties(id);
    partitions.push({
      id: partition.partitionId,
      eventhub_name: partition.eventHubName,
      beginning_sequence_number: partition.beginningSequenceNumber,
      last_enqueued_sequence_number: partition.lastEnqueuedSequenceNumber,
      last_enqueued_offset: partition.lastEnqueuedOffset,
      last_enqueued_time_utc: toJson(partition.lastEnqueuedOnUtc),
      is_empty: partition.isEmpty,
    });
  }
  show({ eventhub_name: found.name, created_at: toJson(found.createdOn), partition_ids: found.partitionIds, partitions });
  await producer.close();
}

function eventToJson(partition, event) {
  return toJson({
    partition,
    offset: event.offset,
    sequence_number: event.sequenceNumber,
    enqueued_time: event.enqueuedTimeUtc,
    partition_key: event.partitionKey,
    message_id: event.messageId,
    correlation_id: event.correlationId,
    content_type: event.contentType,
    properties: event.properties ?? {},
    system_properties: event.systemProperties,
    body: event.body,
  });
}

function position() {
  const [kind, value] = options.from.split(':');
  const isInclusive = Boolean(options.inclusive);
  return {
    earliest: { offset: '-1' },
    latest: { offset: '@latest' },
    offset: { offset: value, isInclusive },
    sequence: { sequenceNumber: Number(value), isInclusive },
    time: { enqueuedOn: new Date(Number(value)) },
  }[kind];
}

async function receive() {
  const consumer = new EventHubConsumerClient(options.group, connectionString, hub, clientOptions);
  let left = Number(operands[0]);
  let finish;
  const finished = new Promise((resolve, reject) => { finish = (failure) => (failure ? reject(failure) : resolve()); });
  const handlers = {
    processEvents: async (events, { partitionId }) => {
      for (const event of events.slice(0, left)) {
        show(eventToJson(partitionId, event));
        left -= 1;
      }
      if (left === 0) finish();
    },
    processError: async (failure) => finish(failure),
  };
  const level = options['owner-level'];
  const receiving = { startPosition: position(), maxWaitTimeInSeconds: 1, ...(level && { ownerLevel: Number(level) }) };
  const subscription = options.partition
    ? consumer.subscribe(options.partition, handlers, receiving)
    : consumer.subscribe(handlers, receiving);
  await finished;
  await subscription.close();
  await consumer.close();
}

function startProcessor(instance) {
  const store = new BlobCheckpointStore(new ContainerClient(options.blobs, options.container));
  const loadBalancingOptions = { strategy: 'balanced', updateIntervalInMs: 1000, partitionOwnershipExpirationIntervalInMs: 6000 };
  const consumer = new EventHubConsumerClient(options.group, connectionString, hub, store, { ...clientOptions, loadBalancingOptions });
  const subscription = consumer.subscribe({
    processInitialize: async ({ partitionId }) => show({ instance, claimed: partitionId }),
    processEvents: async (events, context) => {
      for (const event of events) {
        show({ instance, event: eventToJson(context.partitionId, event) });
        await context.updateCheckpoint(event);
      }
    },
    processClose: async (reason, { partitionId }) => show({ instance, [reason === CloseReason.OwnershipLost ? 'lost' : 'released']: partitionId }),
    processError: async (error) => show({ instance, error: error.message }),
  }, { startPosition: { offset: '-1' }, maxWaitTimeInSeconds: 1 });
  return async () => {
    await subscription.close();
    await consumer.close();
    show({ instance, stopped: true });
  };
}

async function processEvents() {
  const running = new Map(operands.map((name) => [name, startProcessor(name)]));
  for await (const line of createInterface({ input: process.stdin })) {
    await running.get(line)();
    running.delete(line);
  }
  for (const stop of running.values()) await stop();
}

const verbs = { properties, send: options.buffered || options.idempotent ? sendBuffered : send, receive, process: processEvents };
const end = (status) => process.stdout.write('', () => process.exit(status));
verbs[verb]().then(() => end(0), (error) => {
  console.error(`eventhubs_client: ${error.code ?? error.name}: ${error.message} ${error.errors ?? ''}`);
  end(1);
});
