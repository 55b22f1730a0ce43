//! What lies between TCP and AMQP: WebSocket, TLS, proxies.

#[cfg(feature = "tls")]
mod abrupt;
mod proxy;
#[cfg(all(feature = "tls", feature = "websocket"))]
mod rough;
#[cfg(feature = "websocket")]
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use amqp10::{
    AcceptLinkOptions, AcceptedLink, Connection, ConnectionOptions, Delivery, Listener,
    ListenerOptions, Receiver, Sender, SenderOptions, SessionOptions,
};
use bytes::Bytes;

/// Whatever is waited for must come soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it should have come by now")
}

/// A sender of the client, and the receiver of the server that it is attached to.
async fn link(client: &Connection, server: &Connection) -> (Sender, Receiver) {
    let session = client.begin(SessionOptions::default()).await.unwrap();
    let attached = session.attach_sender("queue", SenderOptions::default());
    let (sender, accepted) = tokio::join!(attached, async {
        let link = server.accept_link().await.unwrap();
        link.accept(AcceptLinkOptions::default()).await.unwrap()
    });
    let AcceptedLink::Receiver(receiver) = accepted else {
        panic!("the client is to send")
    };
    (sender.unwrap(), receiver)
}

fn body_of(delivery: &Delivery) -> Bytes {
    match delivery.message().unwrap().body {
        amqp10::Body::Data(octets) => octets,
        other => panic!("{other:?}"),
    }
}

/// Sends `count` messages of `size` octets and checks that each arrives as it was.
async fn carry(client: &Connection, server: &Connection, count: usize, size: usize) {
    let (sender, receiver) = link(client, server).await;
    let message = |index: usize| -> Vec<u8> { (0..size).map(|at| (index + at) as u8).collect() };
    let sending = async {
        for index in 0..count {
            let sent = sender.send(amqp10::Message::data(message(index)));
            assert!(sent.await.unwrap().is_accepted());
        }
    };
    let receiving = async {
        for index in 0..count {
            let delivery = receiver.recv().await.unwrap();
            assert_eq!(body_of(&delivery), message(index), "message {index}");
            delivery.accept().unwrap();
        }
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

/// A listener that carries whatever clients send, until it is dropped with the runtime.
async fn serve(options: ListenerOptions) -> Arc<Listener> {
    Arc::new(Listener::bind("127.0.0.1:0", options).await.unwrap())
}

/// Opens a connection to the listener and carries some messages over it.
async fn try_over(listener: &Listener, url: &str, options: ConnectionOptions) {
    let (client, server) = tokio::join!(Connection::open(url, options), async {
        listener.accept().await.unwrap().accept().await.unwrap()
    });
    let client = client.unwrap();
    carry(&client, &server, 20, 100_000).await;
    client.close().await.unwrap();
}

#[cfg(feature = "tls")]
fn server_tls() -> amqp10::TlsServerConfig {
    let chain = include_bytes!("../../data/server.pem");
    let key = include_bytes!("../../data/server-key.pem");
    amqp10::TlsServerConfig::from_pem(chain, key).unwrap()
}

#[cfg(feature = "tls")]
fn client_tls() -> amqp10::TlsConfig {
    let roots = include_bytes!("../../data/ca.pem");
    amqp10::TlsConfig::with_root_certificates(roots).unwrap()
}
