//! A server of queues, over the acceptors of the stack.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use fe2o3_amqp::acceptor::scram::SingleScramCredential;
use fe2o3_amqp::acceptor::{
    ConnectionAcceptor, LinkAcceptor, LinkEndpoint, ListenerConnectionHandle,
    ListenerSessionHandle, SaslAnonymousMechanism, SaslPlainMechanism, SessionAcceptor,
};
use fe2o3_amqp::auth::scram::{ScramAuthenticator, ScramVersion};
use fe2o3_amqp::connection::OpenError;
use fe2o3_amqp::{Receiver, Sender};
use fe2o3_amqp_types::messaging::{Body, Outcome};
use serde_amqp::Value;
use shared::{Arguments, Result, accept_tls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::values::AnyMessage;

#[derive(Default)]
struct Queue {
    messages: Mutex<VecDeque<AnyMessage>>,
    grown: Notify,
}

#[derive(Clone, Default)]
struct Queues(Arc<Mutex<HashMap<String, Arc<Queue>>>>);

pub async fn listen(arguments: &Arguments) -> Result<()> {
    let tls = accept_tls(arguments)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let queues = Queues::default();
    let mechanism: Arc<str> = arguments.mechanism.as_str().into();
    let max_frame_size = arguments.max_frame_size.unwrap_or(65536);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (queues, tls, mechanism) = (queues.clone(), tls.clone(), mechanism.clone());
        tokio::spawn(async move {
            let opened = match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => open(&mechanism, max_frame_size, stream).await,
                    Err(error) => return eprintln!("{error}"),
                },
                None => open(&mechanism, max_frame_size, stream).await,
            };
            match opened {
                Ok(connection) => serve(connection, queues).await,
                Err(error) => eprintln!("{error}"),
            }
        });
    }
}

async fn open(
    mechanism: &str,
    max_frame_size: u32,
    stream: impl AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static,
) -> std::result::Result<ListenerConnectionHandle, OpenError> {
    let (user, password) = shared::USER;
    let builder = ConnectionAcceptor::builder()
        .container_id("fe2o3")
        .max_frame_size(max_frame_size);
    match mechanism {
        "NONE" => builder.build().accept(stream).await,
        "PLAIN" => {
            let plain = SaslPlainMechanism::new(user, password);
            builder.sasl_acceptor(plain).build().accept(stream).await
        }
        "SCRAM-SHA-256" => {
            let credential = SingleScramCredential::new(user, password, ScramVersion::Sha256);
            let credential = credential
                .map_err(|error| OpenError::Io(std::io::Error::other(format!("{error:?}"))))?;
            let scram = ScramAuthenticator::new(Arc::new(credential));
            builder.sasl_acceptor(scram).build().accept(stream).await
        }
        _ => {
            let anonymous = SaslAnonymousMechanism::new();
            builder
                .sasl_acceptor(anonymous)
                .build()
                .accept(stream)
                .await
        }
    }
}

async fn serve(mut connection: ListenerConnectionHandle, queues: Queues) {
    let acceptor = SessionAcceptor::new();
    while let Ok(session) = acceptor.accept(&mut connection).await {
        tokio::spawn(serve_session(session, queues.clone()));
    }
    let _ = connection.on_close().await;
}

async fn serve_session(mut session: ListenerSessionHandle, queues: Queues) {
    let acceptor = LinkAcceptor::new();
    while let Ok(link) = acceptor.accept(&mut session).await {
        match link {
            LinkEndpoint::Receiver(receiver) => tokio::spawn(keep(receiver, queues.clone())),
            LinkEndpoint::Sender(sender) => tokio::spawn(hand_out(sender, queues.clone())),
        };
    }
    let _ = session.on_end().await;
}

impl Queues {
    fn get(&self, address: Option<&String>) -> Arc<Queue> {
        let name = address.cloned().unwrap_or_default();
        let mut queues = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        queues.entry(name).or_default().clone()
    }
}

impl Queue {
    fn push(&self, message: AnyMessage) {
        self.lock().push_back(message);
        self.grown.notify_one();
    }

    fn push_front(&self, message: AnyMessage) {
        self.lock().push_front(message);
        self.grown.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<AnyMessage>> {
        self.messages
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

async fn keep(mut receiver: Receiver, queues: Queues) {
    let address = receiver
        .target()
        .as_ref()
        .and_then(|target| target.address.clone());
    let queue = queues.get(address.as_ref());
    while let Ok(delivery) = receiver.recv::<Body<Value>>().await {
        if receiver.accept(&delivery).await.is_err() {
            return;
        }
        queue.push(delivery.into_message());
    }
    let _ = receiver.close().await;
}

/// Hands out each message once, and again if it is released or modified.
async fn hand_out(mut sender: Sender, queues: Queues) {
    let address = sender
        .source()
        .as_ref()
        .and_then(|source| source.address.clone());
    let queue = queues.get(address.as_ref());
    loop {
        let next = queue.lock().pop_front();
        let Some(message) = next else {
            tokio::select! {
                () = queue.grown.notified() => continue,
                _ = sender.on_detach() => break,
            }
        };
        let Ok(outcome) = sender.send_batchable(message.clone()).await else {
            queue.push_front(message);
            break;
        };
        let queue = queue.clone();
        tokio::spawn(async move {
            if let Ok(Outcome::Released(_) | Outcome::Modified(_)) = outcome.await {
                queue.push_front(message);
            }
        });
    }
    let _ = sender.close().await;
}
