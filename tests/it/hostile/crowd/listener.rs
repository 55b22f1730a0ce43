//! The listener that is attacked: it accepts every link, takes what is sent, and sends to whoever receives.

use std::time::Duration;

use amqp10::{
    AcceptLinkOptions, AcceptedLink, ConnectionOptions, Credit, IncomingConnection, IncomingLink,
    Limits, Listener, ListenerOptions,
};

/// For a port that anybody can reach: what one connection can make us hold is some 700 KiB, beside tasks and buffers.
fn options() -> ListenerOptions {
    let limits = Limits::default()
        .max_sessions(4)
        .max_links_per_session(16)
        .max_pending_links(8)
        .max_unsettled_deliveries(256)
        .max_partial_delivery_bytes(64 << 10)
        .max_queued_bytes(64 << 10)
        .max_output_bytes(16 << 10);
    let connection = ConnectionOptions::default()
        .max_frame_size(8 << 10)
        .idle_time_out(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(2))
        .limits(limits);
    ListenerOptions::default().connection(connection)
}

/// Prints its port, and serves until it is killed.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = Listener::bind("127.0.0.1:0", options()).await.unwrap();
        println!("port={}", listener.local_addr().unwrap().port());
        loop {
            if let Ok(incoming) = listener.accept().await {
                tokio::spawn(host(incoming));
            }
        }
    });
}

async fn host(incoming: IncomingConnection) {
    let Ok(connection) = incoming.accept().await else {
        return;
    };
    while let Ok(link) = connection.accept_link().await {
        tokio::spawn(work(link));
    }
}

async fn work(link: IncomingLink) {
    let options = AcceptLinkOptions::default().credit(Credit::Auto(50));
    match link.accept(options).await {
        Ok(AcceptedLink::Receiver(receiver)) => {
            while let Ok(delivery) = receiver.recv().await {
                let _ = delivery.accept();
            }
        }
        Ok(AcceptedLink::Sender(sender)) => while sender.send(vec![0; 4000]).await.is_ok() {},
        Err(_) => {}
    }
}
