#!/usr/bin/env python3
"""Qpid Proton as the ordinary client that `amqp10 conform --client PORT` tests.

    proton_ordinary.py PORT

It connects again and again until nobody listens any more; README.md beside this file says what it does each time.
"""
import sys

from proton import Message
from proton.handlers import MessagingHandler
from proton.reactor import Container

MESSAGES = 10


class Ordinary(MessagingHandler):
    def __init__(self, port):
        super().__init__()
        self.url = f"amqp://127.0.0.1:{port}"
        self.sent = self.settled = 0
        self.is_draining = self.is_refused = False

    def on_start(self, event):
        self.connection = event.container.connect(self.url, reconnect=False, heartbeat=10)
        self.sender = event.container.create_sender(self.connection, "conform")
        self.receiver = event.container.create_receiver(self.connection, "conform")

    def on_sendable(self, event):
        while event.sender.credit and self.sent < MESSAGES:
            body = bytes(3000 if self.sent % 3 == 0 else 10)
            event.sender.send(Message(inferred=True, body=body))
            self.sent += 1

    def on_link_flow(self, event):
        if event.link.is_sender and event.link.drain_mode and self.sent > 0:
            event.link.drained()
        if event.link.is_receiver and self.is_draining:
            self.close()

    def on_settled(self, event):
        if event.link.is_sender:
            self.settled += 1
            if self.settled == MESSAGES:
                self.is_draining = True
                self.receiver.drain(0)

    def close(self):
        self.is_draining = False
        self.sender.close()
        self.receiver.close()
        self.sender.session.close()
        self.connection.close()

    def on_transport_error(self, event):
        condition = event.transport.condition
        self.is_refused = "refused" in str(condition and condition.description).lower()

    def on_link_remote_detach(self, event):
        event.link.detach()
        self.connection.close()

    def on_link_closed(self, event):
        self.connection.close()

    def on_transport_tail_closed(self, event):
        # What Proton reads no more it does not close either.
        event.container.schedule(1, self)

    def on_timer_task(self, event):
        event.container.stop()

    on_link_error = on_session_error = on_connection_error = on_link_closed


while True:
    ordinary = Ordinary(sys.argv[1])
    try:
        Container(ordinary).run()
    except Exception as error:  # what breaks Proton's loop breaks no other case
        print(error, file=sys.stderr)
    if ordinary.is_refused:
        break
