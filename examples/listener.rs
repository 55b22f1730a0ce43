//! A plain AMQP 1.0 server in a few lines: takes whatever any client sends, and prints it.
//!
//! ```sh
//! cargo run --example listener -- 127.0.0.1:5672
//! amqp10 send amqp://localhost/anything
//! ```

use std::error::Error;
use std::time::Duration;

use amqp10::codec::{AmqpError, Role, condition};
use amqp10::{
    AcceptError, AcceptLinkOptions, AcceptedLink, Connection, IncomingConnection, IncomingLink,
    LinkError, Listener, ListenerOptions, Receiver,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:5672".into());
    // The default lets everyone in, by SASL ANONYMOUS. `ListenerOptions::sasl` asks for passwords, `tls` for encryption.
    let listener = Listener::bind(address, ListenerOptions::default()).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok(incoming) => {
                tokio::spawn(async {
                    if let Err(error) = serve(incoming).await {
                        println!("a connection ended: {error}");
                    }
                });
            }
            // The system is short of something, sockets most likely: it is asked again when some may have been closed.
            Err(error @ AcceptError::Socket(_)) => {
                println!("{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // One client that cannot shake hands is no reason to turn the others away.
            Err(error) => println!("{error}"),
        }
    }
}

/// Serves one client until its connection ends. Its sessions are answered without asking, its links are ours to accept.
async fn serve(incoming: IncomingConnection) -> Result<(), Box<dyn Error>> {
    println!("{} connects", incoming.open().container_id);
    let connection: Connection = incoming.accept().await?;
    loop {
        let link = connection.accept_link().await?;
        match accept(link).await {
            Ok(Some(receiver)) => {
                tokio::spawn(print_messages(receiver));
            }
            Ok(None) => {}
            // The client's other links go on; if it was the connection that ended, there is no next link.
            Err(error) => println!("a link ended: {error}"),
        }
    }
}

/// Takes links on which the client sends, and refuses the others with a reason that the client can show.
async fn accept(link: IncomingLink) -> Result<Option<Receiver>, LinkError> {
    if link.attach().role == Role::Receiver {
        let error = AmqpError::new(condition::NOT_ALLOWED, "there is nothing to receive here");
        link.refuse(error);
        return Ok(None);
    }
    match link.accept(AcceptLinkOptions::default()).await? {
        AcceptedLink::Receiver(receiver) => Ok(Some(receiver)),
        AcceptedLink::Sender(_) => Ok(None),
    }
}

async fn print_messages(receiver: Receiver) {
    // Credit is granted and topped up by itself; the peer sends no more than we have taken.
    while let Ok(delivery) = receiver.recv().await {
        let settled = match delivery.message() {
            Ok(message) => {
                println!("{}: {:?}", receiver.name(), message.body);
                delivery.accept()
            }
            Err(error) => {
                println!("{}: not a message: {error}", receiver.name());
                delivery.reject(Some(AmqpError::new(
                    condition::DECODE_ERROR,
                    error.to_string(),
                )))
            }
        };
        if settled.is_err() {
            return; // The link has ended, and `recv` would say so too.
        }
    }
}
