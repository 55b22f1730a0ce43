//! Which real peers there are: `.ci/peers/up` starts them and prints the variables that name them.

use std::env;
use std::io::{self, Write};

/// Value of the variable that names a peer. Without it the test is skipped, or fails where peers are required.
pub fn find(variable: &str) -> Option<String> {
    let found = env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        let required = env::var("AMQP10_PEERS").is_ok_and(|value| value == "required");
        assert!(
            !required,
            "{variable} is not set, but AMQP10_PEERS=required"
        );
        // Straight to stderr: what a test that passes prints by macro is not shown.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let advice = "eval \"$(.ci/peers/up)\" starts the peers";
        let _ = writeln!(
            io::stderr(),
            "skipped: {test}: {variable} is not set; {advice}"
        );
    }
    found
}

/// URL of RabbitMQ 3.10 with its AMQP 1.0 plugin.
pub fn rabbitmq3() -> Option<String> {
    find("AMQP10_RABBITMQ3")
}

/// URL of RabbitMQ 4.
pub fn rabbitmq4() -> Option<String> {
    find("AMQP10_RABBITMQ4")
}

/// URL of the example broker of Qpid Proton C++.
pub fn proton_broker() -> Option<String> {
    find("AMQP10_PROTON_BROKER")
}

/// The folder of Qpid Proton's examples in C++, built.
#[cfg(feature = "cli")]
pub fn proton_cpp_examples() -> Option<String> {
    find("AMQP10_PROTON_CPP_EXAMPLES")
}

/// The folder of Qpid Proton's examples in Python.
#[cfg(feature = "cli")]
pub fn proton_python_examples() -> Option<String> {
    find("AMQP10_PROTON_PYTHON_EXAMPLES")
}

/// The folder of an authority and of what it certified: `localhost`, and the client `tim`.
pub fn certificates() -> Option<String> {
    find("AMQP10_CERTIFICATES")
}

/// The folder of Cyrus SASL's configuration for Proton's server.
pub fn cyrus() -> Option<String> {
    find("AMQP10_CYRUS")
}

/// Host and port of RabbitMQ 3.10 with TLS.
pub fn rabbitmq3_tls() -> Option<String> {
    find("AMQP10_RABBITMQ3_TLS")
}

/// Host and port of RabbitMQ 4 with TLS.
pub fn rabbitmq4_tls() -> Option<String> {
    find("AMQP10_RABBITMQ4_TLS")
}

/// URL of the account of Azurite, a stand-in for Azure Blob Storage.
#[cfg(feature = "blob")]
pub fn azurite() -> Option<String> {
    find("AMQP10_AZURITE")
}

/// The Python that has the clients of `tests/interop`.
pub fn python() -> Option<String> {
    find("AMQP10_PYTHON")
}

/// The folder that holds the Node modules.
pub fn node_modules() -> Option<String> {
    find("AMQP10_NODE_MODULES")
}

/// The program on fe2o3-amqp, built.
pub fn fe2o3() -> Option<String> {
    find("AMQP10_FE2O3")
}

/// The program on ramqp, built.
pub fn ramqp() -> Option<String> {
    find("AMQP10_RAMQP")
}

/// The program on Microsoft's Rust client, built.
#[cfg(feature = "emulator")]
pub fn microsoft_rust() -> Option<String> {
    find("AMQP10_MICROSOFT_RUST")
}
