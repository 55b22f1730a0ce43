//! The other end is OpenSSL's command-line tool. Run with `--ignored` where it is installed.

use std::process::Stdio;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn openssl(arguments: &[&str]) -> Child {
    Command::new("openssl")
        .args(arguments)
        .current_dir(DATA)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("openssl is installed")
}

/// `s_server -rev` sends each line back in reverse.
async fn talk_to_openssl(version: &str, client_certificate: bool) {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let accept = format!("127.0.0.1:{port}");
    let mut arguments = vec!["s_server", "-rev", "-quiet", "-accept", &accept, version];
    arguments.extend(["-cert", "server.pem", "-key", "server-key.pem"]);
    let mut config = trusting();
    if client_certificate {
        arguments.extend(["-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"]);
        config = config.client_certificate(CLIENT, CLIENT_KEY).unwrap();
    }
    let _server = openssl(&arguments);
    let stream = loop {
        match TcpStream::connect(&accept).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let mut stream = connect(Box::new(stream), "localhost", Some(&config))
        .await
        .unwrap();
    stream.write_all(b"AMQP\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut read = [0; 5];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"PQMA\n");
}

#[tokio::test]
#[ignore = "needs the program openssl"]
async fn our_client_meets_s_server() {
    for version in ["-tls1_2", "-tls1_3"] {
        for client_certificate in [false, true] {
            let talk = talk_to_openssl(version, client_certificate);
            tokio::time::timeout(Duration::from_secs(10), talk)
                .await
                .expect(version);
        }
    }
}

/// `s_client` prints what it receives, once it has verified us.
async fn hear_from_openssl(version: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut arguments = vec!["s_client", "-quiet", "-connect", &address, version];
    arguments.extend([
        "-CAfile",
        "ca.pem",
        "-verify_return_error",
        "-verify_hostname",
        "localhost",
    ]);
    arguments.extend(["-cert", "client.pem", "-key", "client-key.pem"]);
    let client = openssl(&arguments);
    let config = serving().require_client_certificates(CA).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (mut stream, certificate) = accept(Box::new(stream), Some(&config)).await.unwrap();
    assert!(certificate.is_some());
    stream.write_all(b"AMQP").await.unwrap();
    stream.shutdown().await.unwrap();
    let output = client.wait_with_output().await.unwrap();
    assert_eq!(output.stdout, b"AMQP");
}

#[tokio::test]
#[ignore = "needs the program openssl"]
async fn our_server_meets_s_client() {
    for version in ["-tls1_2", "-tls1_3"] {
        tokio::time::timeout(Duration::from_secs(10), hear_from_openssl(version))
            .await
            .expect(version);
    }
}
