#!/usr/bin/env python3
"""Qpid Proton as a server: a queue for each address; what is sent to `reject`, `release` and `modify` gets that outcome.

    proton_server.py [--mechanism NAME] [--certificate FILE --key FILE --authority FILE] [--max-frame-size OCTETS] [--users FOLDER]

Prints its port. EXTERNAL needs a certificate of the authority; PLAIN and SCRAM look into the Cyrus configuration of the folder.
"""
import argparse
import collections
import socket

from proton import Delivery, Endpoint, Link, SSLDomain
from proton.handlers import MessagingHandler
from proton.reactor import Container

ANSWERS = {"reject": Delivery.REJECTED, "release": Delivery.RELEASED, "modify": Delivery.MODIFIED}


class Queue:
    def __init__(self):
        self.messages = collections.deque()
        self.senders = []

    def deliver(self):
        for sender in self.senders:
            while self.messages and sender.credit:
                message = self.messages.popleft()
                sender.send(message).message = message


class Server(MessagingHandler):
    def __init__(self, arguments):
        # In mode second the receiver waits for our settling before it settles.
        super().__init__(auto_accept=False, auto_settle=False, prefetch=100)
        self.arguments = arguments
        self.queues = collections.defaultdict(Queue)

    def on_start(self, event):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        event.container.listen(f"127.0.0.1:{port}", ssl_domain=self.tls())
        print(port, flush=True)

    def tls(self):
        arguments = self.arguments
        if not arguments.certificate:
            return None
        domain = SSLDomain(SSLDomain.MODE_SERVER)
        domain.set_credentials(arguments.certificate, arguments.key, None)
        if arguments.mechanism == "EXTERNAL":
            domain.set_trusted_ca_db(arguments.authority)
            domain.set_peer_authentication(SSLDomain.VERIFY_PEER, arguments.authority)
        return domain

    def on_connection_bound(self, event):
        arguments, transport = self.arguments, event.transport
        if arguments.max_frame_size:
            transport.max_frame_size = arguments.max_frame_size
        if arguments.mechanism == "NONE":
            return
        transport.require_auth(arguments.mechanism != "ANONYMOUS")
        sasl = transport.sasl()
        sasl.allow_insecure_mechs = True
        sasl.allowed_mechs(arguments.mechanism)
        if arguments.users:
            sasl.config_path(arguments.users)

    def on_link_opening(self, event):
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        if link.is_sender:
            self.queues[link.source.address].senders.append(link)

    def on_link_closing(self, event):
        if event.link.is_sender:
            self.queues[event.link.source.address].senders.remove(event.link)

    def on_link_flow(self, event):
        link = event.link
        if link.is_sender and link.state & Endpoint.LOCAL_ACTIVE:
            self.queues[link.source.address].deliver()
            # Does nothing but in drain mode.
            link.drained()

    def on_message(self, event):
        delivery, address = event.delivery, event.link.target.address
        delivery.update(ANSWERS.get(address, Delivery.ACCEPTED))
        if event.link.rcv_settle_mode == Link.RCV_FIRST or delivery.settled:
            delivery.settle()
        if address not in ANSWERS:
            self.queues[address].messages.append(event.message)
            self.queues[address].deliver()

    def on_settled(self, event):
        event.delivery.settle()

    def on_accepted(self, event):
        event.delivery.settle()

    def on_rejected(self, event):
        event.delivery.settle()

    def on_released(self, event):
        queue = self.queues[event.link.source.address]
        queue.messages.appendleft(event.delivery.message)
        event.delivery.settle()
        queue.deliver()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mechanism", default="ANONYMOUS", help="this one of SASL's, or NONE")
    parser.add_argument("--certificate", help="a file in PEM")
    parser.add_argument("--key", help="a file in PEM: the certificate's")
    parser.add_argument("--authority", help="a file in PEM: of clients' certificates")
    parser.add_argument("--max-frame-size", type=int)
    parser.add_argument("--users", help="a folder with a Cyrus configuration proton-server.conf")
    Container(Server(parser.parse_args())).run()


main()
