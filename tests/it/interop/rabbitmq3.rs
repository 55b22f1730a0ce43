//! What RabbitMQ 3.10 refuses; the rest is in the [matrix](super::matrix).

use amqp10::codec::AmqpError;
use amqp10::sasl::SaslError;
use amqp10::{ConnectError, Connection, ReceiverOptions, SessionOptions};

use super::broker::{connect, options};
use super::{peers, soon};

#[tokio::test]
async fn z_097_an_address_of_another_form_is_refused() {
    let Some(url) = peers::rabbitmq3() else {
        return;
    };
    let connection = connect(&url, options()).await;
    let session = connection.begin(SessionOptions::default()).await.unwrap();
    let receiver = session.attach_receiver("/nonsense/name", ReceiverOptions::default());
    let error = soon("the refusal", receiver).await.unwrap_err();
    let remote: Option<&AmqpError> = error.remote_error();
    assert!(remote.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let Some(url) = peers::rabbitmq3() else {
        return;
    };
    let url = url.replace("guest:guest", "guest:wrong");
    let error = soon("the refusal", Connection::open(&url, options()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Sasl(SaslError::AuthenticationFailed { .. })
        ),
        "{error:?}"
    );
}
