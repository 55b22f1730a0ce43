//! Its broker.

use std::sync::Arc;

use ramqp_broker::auth::{Authenticator, StaticPlain, StaticScram};
use ramqp_broker::{AllowAll, Broker, BrokerConfig};
use shared::{Arguments, Result, USER, accept_tls};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub async fn listen(arguments: &Arguments) -> Result<()> {
    let tls = accept_tls(arguments)?;
    let mut config = BrokerConfig::default();
    if let Some(octets) = arguments.max_frame_size {
        config.connection.max_frame_size = octets;
    }
    let broker = Broker::new(config).with_authenticator(authenticator(&arguments.mechanism));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let (_shutdown, running) = watch::channel(false);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (broker, tls, running) = (broker.clone(), tls.clone(), running.clone());
        tokio::spawn(async move {
            let served = match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => broker.serve_stream(stream, running),
                    Err(error) => return eprintln!("{error}"),
                },
                None => broker.serve_stream(stream, running),
            };
            if let Ok(Err(error)) = served.await {
                eprintln!("{error}");
            }
        });
    }
}

fn authenticator(mechanism: &str) -> Arc<dyn Authenticator> {
    let (user, password) = USER;
    match mechanism {
        "PLAIN" => Arc::new(StaticPlain::new().with_user(user, password)),
        "SCRAM-SHA-256" => Arc::new(StaticScram::new().with_user(user, password)),
        _ => Arc::new(AllowAll),
    }
}
