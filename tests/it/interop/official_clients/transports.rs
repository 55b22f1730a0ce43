//! They come by TLS and by WebSocket, trusting the emulator's own authority.

use std::path::PathBuf;

use super::*;

/// Those whose programs can be told how to come.
const WITH_OPTIONS: [Kind; 3] = [Kind::Python, Kind::PythonAio, Kind::JavaScript];

/// A namespace behind TLS, and how a client is told of it.
struct Guarded {
    _emulator: Emulator,
    _distance: DelayProxy,
    port: u16,
    connection_string: String,
    /// A file with the authority, and its folder.
    authority: PathBuf,
    folder: PathBuf,
}

impl Guarded {
    async fn start() -> Self {
        let options = EmulatorOptions::default()
            .hub(HUB, 1)
            .port(0)
            .tls_generated()
            .accept_any_jwt(true);
        let emulator = Emulator::start(options).await.unwrap();
        let address = emulator.local_addr().unwrap();
        let distance = DelayProxy::start(address, DISTANCE).await.unwrap();
        let port = distance.local_addr().port();
        let (far, near) = (format!(":{};", address.port()), format!(":{port};"));
        let connection_string = emulator.connection_string().replace(&far, &near);
        let folder =
            std::env::temp_dir().join(format!("amqp10-authority-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = folder.join("ca.pem");
        std::fs::write(&authority, emulator.ca_pem().unwrap()).unwrap();
        Self {
            _emulator: emulator,
            _distance: distance,
            port,
            connection_string,
            authority,
            folder,
        }
    }

    /// Runs a client's program with a verb.
    async fn run(
        &self,
        kind: Kind,
        program: Program,
        options: &[&str],
        verb: &[&str],
    ) -> Vec<Json> {
        let authority = self.authority.to_str().unwrap();
        let endpoint = format!("https://localhost:{}", self.port);
        let (program, trust) = match kind {
            Kind::Python | Kind::PythonAio => {
                (program, vec!["--endpoint", &endpoint, "--ca", authority])
            }
            Kind::JavaScript => {
                let program = program.with_variable("NODE_EXTRA_CA_CERTS", authority);
                (
                    program,
                    vec!["--endpoint", endpoint.as_str(), "--ca", authority],
                )
            }
            Kind::Rust => (program.with_variable("SSL_CERT_FILE", authority), vec![]),
        };
        let context = [self.connection_string.as_str(), HUB];
        program
            .lines(&[&trust, options, &context, verb].concat())
            .await
    }

    /// A client sends a few events and reads them.
    async fn expect_round_trip(&self, kind: Kind, options: &[&str]) {
        let Some(program) = kind.program() else {
            return;
        };
        let send = ["send", "--count", "5", "--batch", "--partition-id", "0"];
        self.run(kind, program.clone(), options, &send).await;
        let receive = ["receive", "5", "--partition", "0"];
        let events = self.run(kind, program, options, &receive).await;
        expect_numbered(&events, 100);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn expect_round_trips(kinds: &[Kind], options: &'static [&'static str]) {
    let mut running = JoinSet::new();
    for &kind in kinds {
        running.spawn(async move {
            Guarded::start()
                .await
                .expect_round_trip(kind, options)
                .await
        });
    }
    running.join_all().await;
}

#[tokio::test]
async fn all_come_by_tls() {
    expect_round_trips(&Kind::ALL, &[]).await;
}

#[tokio::test]
async fn python_and_javascript_come_by_websocket() {
    expect_round_trips(&WITH_OPTIONS, &["--websocket"]).await;
}

/// A credential as those of Entra ID are, instead of the key, which is wrong here.
#[tokio::test]
async fn python_and_javascript_come_with_the_token_of_a_credential() {
    let mut running = JoinSet::new();
    for kind in WITH_OPTIONS {
        running.spawn(async move {
            let mut namespace = Guarded::start().await;
            namespace.connection_string = with_wrong_key(&namespace.connection_string);
            let options = ["--token", "a.bearer.token"];
            namespace.expect_round_trip(kind, &options).await;
        });
    }
    running.join_all().await;
}
