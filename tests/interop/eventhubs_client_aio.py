#!/usr/bin/env python3
"""azure-eventhub, Microsoft's client, in its asynchronous form."""
import asyncio
import sys

from azure.eventhub import CloseReason
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

import eventhubs_events as events


async def send(producer, arguments):
    if not arguments.batch:
        for number, event in enumerate(events.events_to_send(arguments)):
            await producer.send_event(event, **events.route(arguments))
            events.show({"sent": number + 1})
            await asyncio.sleep(arguments.pause / 1000)
        return
    batch = await producer.create_batch(**events.route(arguments))
    for event in events.events_to_send(arguments):
        batch.add(event)  # raises ValueError when the batch is full
    await producer.send_batch(batch)
    events.show({"sent": arguments.count})


async def properties(client):
    hub = events.to_json(await client.get_eventhub_properties())
    hub["partitions"] = [
        events.to_json(await client.get_partition_properties(partition)) for partition in hub["partition_ids"]]
    events.show(hub)


async def receive(consumer, arguments):
    """Print events until there were COUNT of them; fail when the time is over before."""
    left = arguments.count
    done = asyncio.get_running_loop().create_future()

    def finish(failure):
        if not done.done():
            done.set_result(failure)

    async def on_events(context, received):
        nonlocal left
        for event in received[:left]:
            events.show_event(arguments, context.partition_id, event)
            left -= 1
        if left == 0:
            finish(None)

    async def on_error(context, error):
        finish(f"partition {context.partition_id if context else '?'}: {error}")

    receiving = asyncio.create_task(
        consumer.receive_batch(on_event_batch=on_events, on_error=on_error, **events.receive_options(arguments)))
    failure = await asyncio.wait_for(done, arguments.timeout)
    if failure:
        sys.exit(f"eventhubs_client_aio: {failure}")
    await consumer.close()
    await receiving


def start_processor(name, arguments):
    """A processor in a task of its own; gives back what stops it."""
    store = BlobCheckpointStore.from_connection_string(arguments.blobs, arguments.container)
    consumer = EventHubConsumerClient.from_connection_string(
        arguments.connection_string, arguments.group, checkpoint_store=store, **events.BALANCING_OPTIONS,
        **events.client_options(arguments))

    async def on_event(context, event):
        events.show({"instance": name, "event": events.event_to_json(context.partition_id, event)})
        await context.update_checkpoint(event)

    async def on_initialize(context):
        events.show({"instance": name, "claimed": context.partition_id})

    async def on_close(context, reason):
        what = "lost" if reason == CloseReason.OWNERSHIP_LOST else "released"
        events.show({"instance": name, what: context.partition_id})

    async def on_error(_context, error):
        events.show({"instance": name, "error": str(error)})

    receiving = asyncio.create_task(consumer.receive(
        on_event, starting_position="-1", on_partition_initialize=on_initialize, on_partition_close=on_close,
        on_error=on_error))

    async def stop():
        await consumer.close()
        await receiving
        await store.close()
        events.show({"instance": name, "stopped": True})

    return stop


async def process(arguments):
    running = {name: start_processor(name, arguments) for name in arguments.names}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await running.pop(line.strip())()
    for stop in running.values():
        await stop()


async def main():
    arguments = events.parse(__doc__)
    options = events.client_options(arguments)
    if arguments.verb == "process":
        await process(arguments)
    elif arguments.verb == "receive":
        consumer = EventHubConsumerClient.from_connection_string(arguments.connection_string, arguments.group, **options)
        await receive(consumer, arguments)
    else:
        async with EventHubProducerClient.from_connection_string(arguments.connection_string, **options) as client:
            await (send(client, arguments) if arguments.verb == "send" else properties(client))


try:
    asyncio.run(main())
except Exception as error:  # one line for the test that reads it, not a traceback
    sys.exit(f"eventhubs_client_aio: {type(error).__name__}: {error}")
