#!/usr/bin/env python3
"""Qpid Proton as a client: sends messages to a node, or receives from it.

    proton_client.py send URL ADDRESS --messages FILE | --count N --size BYTES  [--settled | --second]
    proton_client.py receive URL ADDRESS COUNT [--outcome accepted|rejected|released|modified] [--size BYTES] [--settled | --second]
    proton_client.py drain URL ADDRESS CREDIT
    proton_client.py get URL ADDRESS
    proton_client.py transact URL ADDRESS post|retire commit|rollback COUNT

README.md beside this file says what each verb prints, how messages are written as JSON, and what the other options are.
"""
import argparse
import json
import sys

from proton import Delivery, Link, SSLDomain
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container, LinkOption
from proton_messages import message_from_json, message_to_json, number_of, numbered


def show(line):
    print(json.dumps(line), flush=True)


class Modes(LinkOption):
    """The settle modes that the arguments ask for; a receiver leaves the sender's open unless it is to be settled."""

    def __init__(self, arguments):
        self.arguments = arguments

    def apply(self, link):
        if self.arguments.settled:
            link.snd_settle_mode = Link.SND_SETTLED
        elif link.is_sender:
            link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_SECOND if self.arguments.second else Link.RCV_FIRST


class Client(MessagingHandler):
    """One connection with one link and one time limit for everything."""

    def __init__(self, arguments, **options):
        super().__init__(**options)
        self.arguments = arguments
        self.failure = None

    def on_start(self, event):
        arguments = self.arguments
        self.deadline = event.container.schedule(arguments.timeout, self)
        options = {"allow_insecure_mechs": True, "reconnect": False, "max_frame_size": arguments.max_frame_size}
        if arguments.mechanism:
            options.update(sasl_enabled=arguments.mechanism != "NONE", allowed_mechs=arguments.mechanism)
        if arguments.authority:
            options.update(ssl_domain=self.tls(), sni="localhost")
        self.connection = event.container.connect(arguments.url, **options)
        self.attach(event.container)

    def tls(self):
        domain = SSLDomain(SSLDomain.MODE_CLIENT)
        domain.set_trusted_ca_db(self.arguments.authority)
        domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
        if self.arguments.certificate:
            domain.set_credentials(self.arguments.certificate, self.arguments.key, None)
        return domain

    def on_timer_task(self, event):
        self.finish("time-out")

    def finish(self, failure=None):
        self.failure = self.failure or failure
        self.deadline.cancel()
        self.connection.close()

    def on_transport_error(self, event):
        self.finish(f"transport: {event.transport.condition}")

    def on_connection_error(self, event):
        self.finish(f"connection: {event.connection.remote_condition}")

    def on_session_error(self, event):
        self.finish(f"session: {event.session.remote_condition}")

    def on_link_error(self, event):
        self.finish(f"link: {event.link.remote_condition}")


class Send(Client):
    def __init__(self, arguments):
        # In mode second the receiver waits for our settling before it settles.
        super().__init__(arguments, auto_settle=False)
        if arguments.messages:
            with open(arguments.messages, encoding="utf-8") as file:
                self.messages = [message_from_json(json.loads(line)) for line in file]
        else:
            size = arguments.size or 100
            self.messages = [numbered(number, size) for number in range(arguments.count)]
        self.next = 0
        self.outcomes = dict.fromkeys(("accepted", "rejected", "released", "modified", "settled"), 0)

    def attach(self, container):
        container.create_sender(self.connection, self.arguments.address, options=Modes(self.arguments))

    def on_sendable(self, event):
        while event.sender.credit and self.next < len(self.messages):
            event.sender.send(self.messages[self.next])
            self.next += 1
            if self.arguments.settled:
                self.count("settled")

    def on_accepted(self, event):
        self.settled(event, "accepted")

    def on_rejected(self, event):
        self.settled(event, "rejected")

    def on_released(self, event):
        self.settled(event, "modified" if event.delivery.remote_state == Delivery.MODIFIED else "released")

    def settled(self, event, outcome):
        event.delivery.settle()
        self.count(outcome)

    def count(self, outcome):
        self.outcomes[outcome] += 1
        if sum(self.outcomes.values()) == len(self.messages):
            show(self.outcomes)
            self.finish()


class Receive(Client):
    STATES = {"accepted": Delivery.ACCEPTED, "rejected": Delivery.REJECTED, "released": Delivery.RELEASED,
              "modified": Delivery.MODIFIED}

    def __init__(self, arguments):
        super().__init__(arguments, prefetch=0, auto_accept=False)
        self.received = 0
        self.settled = 0

    def attach(self, container):
        container.create_receiver(self.connection, self.arguments.address, options=Modes(self.arguments))

    def on_link_opened(self, event):
        # Not before: Proton would count from 0 instead of the sender's initial-delivery-count.
        event.receiver.flow(self.arguments.count)

    def on_message(self, event):
        arguments, message = self.arguments, event.message
        self.received += 1
        if event.delivery.settled != arguments.settled:
            return self.finish(f"settled: {event.delivery.settled}")
        show(number_of(message, arguments.size) if arguments.size else message_to_json(message))
        event.delivery.update(self.STATES[arguments.outcome])
        if not arguments.second:
            self.settle(event.delivery)

    def on_settled(self, event):
        self.settle(event.delivery)

    def settle(self, delivery):
        delivery.settle()
        self.settled += 1
        if self.settled == self.arguments.count:
            self.finish()


class Drain(Client):
    """Credit that is to be used or given back at once."""

    def __init__(self, arguments):
        super().__init__(arguments, prefetch=0)
        self.received = 0

    def attach(self, container):
        container.create_receiver(self.connection, self.arguments.address)

    def on_link_opened(self, event):
        event.receiver.drain(self.arguments.count)

    def on_message(self, event):
        show(number_of(event.message, 100))
        self.received += 1

    def on_link_flow(self, event):
        # Told for each time that credit was given, also when messages have used it.
        if not event.receiver.draining():
            event.receiver.drained()
            self.drained(event)

    def drained(self, event):
        show({"drained": self.received})
        self.finish()


class Get(Drain):
    """One message after the other."""

    def __init__(self, arguments):
        super().__init__(arguments)
        self.known = 0

    def on_link_opened(self, event):
        event.receiver.drain(1)

    def drained(self, event):
        if self.received == self.known:
            self.finish()
        else:
            self.known = self.received
            event.receiver.drain(1)


class Transact(Client, TransactionHandler):
    """Some work in one transaction, and its end."""

    def __init__(self, arguments):
        super().__init__(arguments, prefetch=0, auto_accept=False)
        self.done = 0

    def attach(self, container):
        container.declare_transaction(self.connection, handler=self)

    def on_transaction_declared(self, event):
        self.transaction = event.transaction
        if self.arguments.work == "post":
            event.container.create_sender(self.connection, self.arguments.address)
        else:
            receiver = event.container.create_receiver(self.connection, self.arguments.address)
            receiver.flow(self.arguments.count)

    def on_sendable(self, event):
        while event.sender.name != "txn-ctrl" and event.sender.credit and self.done < self.arguments.count:
            self.transaction.send(event.sender, numbered(self.done, 100))
            self.count()

    def on_message(self, event):
        self.transaction.accept(event.delivery)
        self.count()

    def count(self):
        self.done += 1
        if self.done == self.arguments.count:
            if self.arguments.end == "commit":
                self.transaction.commit()
            else:
                self.transaction.abort()

    def on_transaction_declare_failed(self, event):
        self.finish("the transaction was not declared")

    def on_transaction_commit_failed(self, event):
        self.finish("the transaction was not committed")

    def on_transaction_committed(self, event):
        self.finish()

    def on_transaction_aborted(self, event):
        self.finish()


CLIENTS = {"send": Send, "receive": Receive, "drain": Drain, "get": Get, "transact": Transact}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    parsers = {verb: verbs.add_parser(verb) for verb in CLIENTS}
    for verb in parsers.values():
        verb.add_argument("url", help="amqp[s]://[user:password@]host:port")
        verb.add_argument("address")
        verb.add_argument("--timeout", type=float, default=1800, help="seconds for everything")
        verb.add_argument("--mechanism", help="this one of SASL's, or NONE")
        verb.add_argument("--authority", help="a file in PEM: whom to trust, for amqps")
        verb.add_argument("--certificate", help="a file in PEM: our own")
        verb.add_argument("--key", help="a file in PEM: its key")
        verb.add_argument("--max-frame-size", type=int)
    for name in ("send", "receive"):
        parsers[name].add_argument("--size", type=int)
        parsers[name].add_argument("--settled", action="store_true")
        parsers[name].add_argument("--second", action="store_true")
    parsers["send"].add_argument("--messages", help="a file with one message a line, as JSON")
    parsers["send"].add_argument("--count", type=int, default=1)
    parsers["receive"].add_argument("count", type=int)
    parsers["receive"].add_argument("--outcome", choices=Receive.STATES, default="accepted")
    parsers["drain"].add_argument("count", type=int)
    parsers["transact"].add_argument("work", choices=("post", "retire"))
    parsers["transact"].add_argument("end", choices=("commit", "rollback"))
    parsers["transact"].add_argument("count", type=int)
    return parser.parse_args()


def main():
    arguments = parse()
    client = CLIENTS[arguments.verb](arguments)
    Container(client).run()
    if client.failure:
        sys.exit(f"proton_client: {client.failure}")


main()
