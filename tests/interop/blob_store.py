#!/usr/bin/env python3
"""The checkpoint store of Microsoft's client for Python, one operation at a time.

    blob_store.py CONNECTION_STRING CONTAINER NAMESPACE HUB GROUP ownerships
    blob_store.py ... claim PARTITION OWNER [--etag E]
    blob_store.py ... checkpoints
    blob_store.py ... checkpoint PARTITION OFFSET SEQUENCE_NUMBER

`ownerships` and `claim` print each ownership, listed or won, as a JSON object with partition, owner, etag and last_modified in
milliseconds since 1970; `checkpoints` each checkpoint with partition, offset and sequence_number.
"""
import argparse
import json
import sys

from azure.eventhub.extensions.checkpointstoreblob import BlobCheckpointStore


def print_ownership(record):
    print(json.dumps({
        "partition": record["partition_id"],
        "owner": record["owner_id"],
        "etag": record["etag"],
        "last_modified": round(record["last_modified_time"] * 1000),
    }))


def print_checkpoint(record):
    print(json.dumps({
        "partition": record["partition_id"],
        "offset": record["offset"],
        "sequence_number": record["sequence_number"],
    }))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["connection_string", "container", "namespace", "hub", "group"]:
        parser.add_argument(name)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ownerships")
    verbs.add_parser("checkpoints")
    claim = verbs.add_parser("claim")
    claim.add_argument("partition")
    claim.add_argument("owner")
    claim.add_argument("--etag")
    checkpoint = verbs.add_parser("checkpoint")
    checkpoint.add_argument("partition")
    checkpoint.add_argument("offset")
    checkpoint.add_argument("sequence_number", type=int)
    return parser.parse_args()


def main():
    arguments = parse()
    group = {
        "fully_qualified_namespace": arguments.namespace,
        "eventhub_name": arguments.hub,
        "consumer_group": arguments.group,
    }
    with BlobCheckpointStore.from_connection_string(arguments.connection_string, arguments.container) as store:
        if arguments.verb == "ownerships":
            for record in store.list_ownership(*group.values()):
                print_ownership(record)
        elif arguments.verb == "checkpoints":
            for record in store.list_checkpoints(*group.values()):
                print_checkpoint(record)
        elif arguments.verb == "claim":
            claim = {**group, "partition_id": arguments.partition, "owner_id": arguments.owner, "etag": arguments.etag}
            for record in store.claim_ownership([claim]):
                print_ownership(record)
        else:
            store.update_checkpoint({
                **group,
                "partition_id": arguments.partition,
                "offset": arguments.offset,
                "sequence_number": arguments.sequence_number,
            })


try:
    main()
except Exception as error:  # one line for the test that reads it, not a traceback
    sys.exit(f"blob_store: {type(error).__name__}: {error}")
