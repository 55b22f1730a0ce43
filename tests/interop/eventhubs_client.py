#!/usr/bin/env python3
"""azure-eventhub, Microsoft's client, in its synchronous form."""
import sys
import threading
import time

from azure.eventhub import CloseReason, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.extensions.checkpointstoreblob import BlobCheckpointStore

import eventhubs_events as events


def send(producer, arguments):
    if not arguments.batch:
        for number, event in enumerate(events.events_to_send(arguments)):
            producer.send_event(event, **events.route(arguments))
            events.show({"sent": number + 1})
            time.sleep(arguments.pause / 1000)
        return
    batch = producer.create_batch(**events.route(arguments))
    for event in events.events_to_send(arguments):
        batch.add(event)  # raises ValueError when the batch is full
    producer.send_batch(batch)
    events.show({"sent": arguments.count})


def properties(client):
    hub = events.to_json(client.get_eventhub_properties())
    hub["partitions"] = [events.to_json(client.get_partition_properties(partition)) for partition in hub["partition_ids"]]
    events.show(hub)


def receive(consumer, arguments):
    """Print events until there were COUNT of them; fail when the time is over before."""
    left = arguments.count
    done = threading.Event()
    failures = []
    counting = threading.Lock()

    def on_events(context, received):
        nonlocal left
        with counting:
            for event in received[:left]:
                events.show_event(arguments, context.partition_id, event)
                left -= 1
            if left == 0:
                done.set()

    def on_error(context, error):
        failures.append(f"partition {context.partition_id if context else '?'}: {error}")
        done.set()

    def run():
        consumer.receive_batch(on_event_batch=on_events, on_error=on_error, **events.receive_options(arguments))

    threading.Thread(target=run, daemon=True).start()
    in_time = done.wait(arguments.timeout)
    if failures or not in_time:
        sys.exit("eventhubs_client: " + "; ".join(failures or [f"time-out with {left} events missing"]))
    consumer.close()


def start_processor(name, arguments):
    """A processor in a thread of its own; gives back what stops it."""
    store = BlobCheckpointStore.from_connection_string(arguments.blobs, arguments.container)
    consumer = EventHubConsumerClient.from_connection_string(
        arguments.connection_string, arguments.group, checkpoint_store=store, **events.BALANCING_OPTIONS,
        **events.client_options(arguments))

    def on_event(context, event):
        events.show({"instance": name, "event": events.event_to_json(context.partition_id, event)})
        context.update_checkpoint(event)

    def on_close(context, reason):
        what = "lost" if reason == CloseReason.OWNERSHIP_LOST else "released"
        events.show({"instance": name, what: context.partition_id})

    def run():
        consumer.receive(
            on_event, starting_position="-1",
            on_partition_initialize=lambda context: events.show({"instance": name, "claimed": context.partition_id}),
            on_partition_close=on_close,
            on_error=lambda _context, error: events.show({"instance": name, "error": str(error)}))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def stop():
        consumer.close()
        thread.join()
        events.show({"instance": name, "stopped": True})

    return stop


def process(arguments):
    running = {name: start_processor(name, arguments) for name in arguments.names}
    for line in sys.stdin:
        running.pop(line.strip())()
    for stop in running.values():
        stop()


def main():
    arguments = events.parse(__doc__)
    options = events.client_options(arguments)
    if arguments.verb == "process":
        process(arguments)
    elif arguments.verb == "receive":
        receive(EventHubConsumerClient.from_connection_string(arguments.connection_string, arguments.group, **options), arguments)
    else:
        with EventHubProducerClient.from_connection_string(arguments.connection_string, **options) as client:
            send(client, arguments) if arguments.verb == "send" else properties(client)


try:
    main()
except Exception as error:  # one line for the test that reads it, not a traceback
    sys.exit(f"eventhubs_client: {type(error).__name__}: {error}")
