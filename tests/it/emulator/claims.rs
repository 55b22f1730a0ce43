//! `$cbs`, and what is refused without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amqp10::Clock;
use amqp10::codec::{Target, Uuid, condition};
use amqp10::{ReceiverOptions, RecvError};

use super::*;

const HUB: &str = "sb://localhost/orders";

#[tokio::test]
async fn a_good_token_is_answered_202_with_the_requests_id_and_opens_the_hub() {
    let emulator = emulator().await;
    let (_connection, session) = anonymous(&emulator).await;
    let cbs = Requests::attach(&session, "$cbs").await;
    for id in [
        MessageId::String("a-uuid".into()),
        MessageId::Ulong(0),
        MessageId::Uuid(Uuid([7; 16])),
        MessageId::Binary(vec![1, 2].into()),
    ] {
        let mut request = put_token(HUB, &token(HUB, KEY, now() + 60));
        request.properties.as_mut().unwrap().message_id = Some(id.clone());
        let reply = cbs.ask(request).await;
        assert_eq!(status(&reply), 202);
        assert_eq!(reply.properties.unwrap().correlation_id, Some(id));
    }
    session
        .attach_sender("orders", SenderOptions::default())
        .await
        .unwrap();
    session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn without_a_token_links_are_refused_as_unauthorized() {
    let emulator = emulator().await;
    let (_connection, session) = anonymous(&emulator).await;
    let sender = session
        .attach_sender("orders", SenderOptions::default())
        .await;
    assert_eq!(refusal(sender).condition, condition::UNAUTHORIZED_ACCESS);
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await;
    assert_eq!(refusal(receiver).condition, condition::UNAUTHORIZED_ACCESS);
    let management = session
        .attach_sender("$management", SenderOptions::default())
        .await;
    assert_eq!(
        refusal(management).condition,
        condition::UNAUTHORIZED_ACCESS
    );
    // The session has survived all that.
    authorize(&session, HUB).await;
    session
        .attach_sender("orders", SenderOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_for_a_part_of_the_hub_opens_that_part_only() {
    let emulator = emulator().await;
    let (_connection, session) = anonymous(&emulator).await;
    authorize(&session, "amqps://localhost:1234/Orders/Partitions/1").await;
    session
        .attach_sender("orders/partitions/1", SenderOptions::default())
        .await
        .unwrap();
    for address in ["orders", "orders/Partitions/0"] {
        let sender = session
            .attach_sender(address, SenderOptions::default())
            .await;
        assert_eq!(
            refusal(sender).condition,
            condition::UNAUTHORIZED_ACCESS,
            "{address}"
        );
    }
}

#[tokio::test]
async fn bad_tokens_are_answered_with_status_and_condition() {
    let emulator = emulator().await;
    let (_connection, session) = anonymous(&emulator).await;
    let cbs = Requests::attach(&session, "$cbs").await;
    let good = token(HUB, KEY, now() + 60);
    let mut jwt = put_token(HUB, "e30.e30.sig");
    jwt.application_properties
        .as_mut()
        .unwrap()
        .insert("type", "jwt");
    let missing = "sb://localhost/missing";
    let table = [
        (
            put_token(HUB, &token(HUB, "other key", now() + 60)),
            401,
            "amqp:unauthorized-access",
        ),
        (
            put_token(HUB, &token(HUB, KEY, now() - 5)),
            401,
            "amqp:unauthorized-access",
        ),
        (
            put_token("sb://localhost/", &good),
            401,
            "amqp:unauthorized-access",
        ),
        (
            put_token("sb://elsewhere/orders", &good),
            401,
            "amqp:unauthorized-access",
        ),
        (jwt, 401, "amqp:unauthorized-access"),
        (
            put_token(missing, &token(missing, KEY, now() + 60)),
            404,
            "amqp:not-found",
        ),
        (put_token(HUB, "rubbish"), 400, "amqp:invalid-field"),
        (put_token("orders", &good), 400, "amqp:invalid-field"),
        (
            request(None, &[("operation", "delete-token")], Body::Empty),
            400,
            "amqp:invalid-field",
        ),
        (
            Message::data("no properties at all"),
            400,
            "amqp:invalid-field",
        ),
    ];
    for (request, code, condition) in table {
        let reply = cbs.ask(request.clone()).await;
        assert_eq!(status(&reply), code, "{request:?}");
        let properties = reply.application_properties.unwrap();
        assert_eq!(
            properties.get_str("error-condition"),
            Some(condition),
            "{request:?}"
        );
        assert!(!properties.get_str("status-description").unwrap().is_empty());
    }
}

#[tokio::test]
async fn any_json_web_token_is_taken_if_the_options_say_so() {
    let emulator = Emulator::start(options().accept_any_jwt(true))
        .await
        .unwrap();
    let (_connection, session) = anonymous(&emulator).await;
    let cbs = Requests::attach(&session, "$cbs").await;
    let mut jwt = put_token(HUB, "e30.e30.sig");
    jwt.application_properties
        .as_mut()
        .unwrap()
        .insert("type", "jwt");
    assert_eq!(status(&cbs.ask(jwt).await), 202);
    session
        .attach_sender("orders", SenderOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn replies_find_their_way_by_target_name_and_session() {
    let emulator = emulator().await;
    let (connection, session) = anonymous(&emulator).await;
    let good = put_token(HUB, &token(HUB, KEY, now() + 60));
    let reply_to = |address: &str| {
        let mut request = good.clone();
        request.properties.as_mut().unwrap().reply_to = Some(address.into());
        request
    };
    let by_target = ReceiverOptions::default().target(Target::new("my-replies"));
    let by_target = session.attach_receiver("$cbs", by_target).await.unwrap();
    let by_name = ReceiverOptions::default().name("cbs-17");
    let by_name = session.attach_receiver("$cbs", by_name).await.unwrap();
    let other = connection.begin(SessionOptions::default()).await.unwrap();
    let elsewhere = other
        .attach_receiver("$cbs", ReceiverOptions::default())
        .await
        .unwrap();
    let here = session
        .attach_receiver("$cbs", ReceiverOptions::default())
        .await
        .unwrap();

    let sender = session
        .attach_sender("$cbs", SenderOptions::default())
        .await
        .unwrap();
    for (request, receiver) in [
        (reply_to("my-replies"), &by_target),
        (reply_to("cbs-17"), &by_name),
        (good, &here),
    ] {
        assert!(sender.send(request).await.unwrap().is_accepted());
        assert_eq!(
            status(&soon(receiver.recv()).await.unwrap().message().unwrap()),
            202
        );
    }
    assert!(elsewhere.try_recv().unwrap().is_none());
}

#[tokio::test]
async fn links_end_when_their_token_does_and_live_on_when_it_is_renewed() {
    let seconds = Arc::new(AtomicU64::new(1_000));
    let read = Arc::clone(&seconds);
    let clock = Clock::new(move || UNIX_EPOCH + Duration::from_secs(read.load(Ordering::Relaxed)));
    let emulator = Emulator::start(options().clock(clock)).await.unwrap();
    let (_connection, session) = anonymous(&emulator).await;
    let cbs = Requests::attach(&session, "$cbs").await;
    let renewed = "sb://localhost/orders/Partitions/0";
    let left_alone = "sb://localhost/orders/ConsumerGroups/$Default";
    for resource in [renewed, left_alone] {
        assert_eq!(
            status(
                &cbs.ask(put_token(resource, &token(resource, KEY, 2_000)))
                    .await
            ),
            202
        );
    }
    let sender = session
        .attach_sender("orders/Partitions/0", SenderOptions::default())
        .await
        .unwrap();
    let receiver = session
        .attach_receiver(reader_address(0), ReceiverOptions::default())
        .await
        .unwrap();
    assert_eq!(
        status(
            &cbs.ask(put_token(renewed, &token(renewed, KEY, 5_000)))
                .await
        ),
        202
    );

    seconds.store(3_000, Ordering::Relaxed);
    let RecvError::Link(error) = soon(receiver.recv()).await.unwrap_err() else {
        panic!("not the link")
    };
    assert_eq!(
        error.remote_error().unwrap().condition,
        condition::UNAUTHORIZED_ACCESS
    );
    assert!(
        soon(sender.send(Message::data("still open")))
            .await
            .unwrap()
            .is_accepted()
    );
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_key_opens_everything() {
    let emulator = emulator().await;
    let options = ConnectionOptions::default()
        .credentials(Credentials::plain(KEY_NAME, "wrong"))
        .allow_plain_without_tls(true);
    assert!(
        Connection::open_with_stream(emulator.connect(), options)
            .await
            .is_err()
    );
    let (_connection, session) = root(&emulator).await;
    publish(&session, &["x"]).await;
}
