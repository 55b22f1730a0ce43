// The checkpoint store of Microsoft's client for JavaScript, one operation at a time.
//
//   node blob_store.js CONNECTION_STRING CONTAINER NAMESPACE HUB GROUP ownerships
//   node blob_store.js ... claim PARTITION OWNER [--etag E]
//   node blob_store.js ... checkpoints
//   node blob_store.js ... checkpoint PARTITION OFFSET SEQUENCE_NUMBER
//   node blob_store.js ... sign
//
// It prints what blob_store.py prints; `sign` prints the container's URL, signed for an hour, as {"url": ...}.
"use strict";

const { BlobCheckpointStore } = require("@azure/eventhubs-checkpointstore-blob");
const { ContainerClient, ContainerSASPermissions } = require("@azure/storage-blob");

function printOwnership(record) {
  const { partitionId, ownerId, etag, lastModifiedTimeInMs } = record;
  console.log(JSON.stringify({ partition: partitionId, owner: ownerId, etag, last_modified: lastModifiedTimeInMs }));
}

function printCheckpoint({ partitionId, offset, sequenceNumber }) {
  console.log(JSON.stringify({ partition: partitionId, offset, sequence_number: sequenceNumber }));
}

async function main() {
  const [connectionString, container, namespace, hub, consumerGroup, verb, ...operands] = process.argv.slice(2);
  const containerClient = new ContainerClient(connectionString, container);
  const store = new BlobCheckpointStore(containerClient);
  const group = { fullyQualifiedNamespace: namespace, eventHubName: hub, consumerGroup };
  const [partitionId] = operands;
  if (verb === "ownerships") {
    (await store.listOwnership(namespace, hub, consumerGroup)).forEach(printOwnership);
  } else if (verb === "checkpoints") {
    (await store.listCheckpoints(namespace, hub, consumerGroup)).forEach(printCheckpoint);
  } else if (verb === "claim") {
    const [, ownerId, , etag] = operands;
    (await store.claimOwnership([{ ...group, partitionId, ownerId, etag }])).forEach(printOwnership);
  } else if (verb === "checkpoint") {
    const [, offset, sequenceNumber] = operands;
    await store.updateCheckpoint({ ...group, partitionId, offset, sequenceNumber: Number(sequenceNumber) });
  } else if (verb === "sign") {
    const permissions = ContainerSASPermissions.parse("racwl");
    const expiresOn = new Date(Date.now() + 3600 * 1000);
    console.log(JSON.stringify({ url: await containerClient.generateSasUrl({ permissions, expiresOn }) }));
  } else {
    throw new Error(`no such verb: ${verb}`);
  }
}

main().catch((error) => {
  console.error(`blob_store: ${error.name}: ${error.message}`);
  process.exit(1);
});
