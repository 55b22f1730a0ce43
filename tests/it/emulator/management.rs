//! `$management`, over the wire.

use super::*;

fn read_hub(name: &str) -> Message {
    let arguments = [
        ("operation", "READ"),
        ("type", "com.microsoft:eventhub"),
        ("name", name),
    ];
    request(MessageId::Ulong(3), &arguments, Body::Empty)
}

#[tokio::test]
async fn hub_and_partition_are_read_from_both_nodes() {
    let emulator = emulator().await;
    let (_connection, session) = anonymous(&emulator).await;
    authorize(&session, "sb://localhost/orders/$management").await;
    for node in [
        "$management",
        "orders/$management",
        "amqps://localhost:5671/$management",
    ] {
        let management = Requests::attach(&session, node).await;
        let reply = management.ask(read_hub("orders")).await;
        assert_eq!(status(&reply), 200);
        assert_eq!(
            reply.properties.as_ref().unwrap().correlation_id,
            Some(MessageId::Ulong(3))
        );
        let Body::Value(Value::Map(hub)) = &reply.body else {
            panic!("{reply:?}")
        };
        assert_eq!(hub.get_str("partition_count"), Some(&Value::Int(2)));
        let arguments = [
            ("operation", "READ"),
            ("type", "com.microsoft:partition"),
            ("name", "orders"),
            ("partition", "1"),
        ];
        let reply = management
            .ask(request(None, &arguments, Body::Data("[]".into())))
            .await;
        let Body::Value(Value::Map(partition)) = &reply.body else {
            panic!("{reply:?}")
        };
        assert_eq!(partition.get_str("partition"), Some(&"1".into()));
    }
}

#[tokio::test]
async fn a_token_for_another_hub_is_not_enough() {
    let emulator = Emulator::start(options().hub("other", 1)).await.unwrap();
    let (_connection, session) = anonymous(&emulator).await;
    authorize(&session, "sb://localhost/other").await;
    let management = Requests::attach(&session, "$management").await;
    assert_eq!(status(&management.ask(read_hub("orders")).await), 401);
    assert_eq!(status(&management.ask(read_hub("other")).await), 200);
}

/// One official client puts its token for the node below the consumer group.
#[tokio::test]
async fn a_token_for_the_management_node_of_a_group_is_enough() {
    let emulator = Emulator::start(options().hub("other", 1)).await.unwrap();
    let (_connection, session) = anonymous(&emulator).await;
    let audience = "sb://localhost/orders/ConsumerGroups/$Default/$management";
    authorize(&session, audience).await;
    let management = Requests::attach(&session, "$management").await;
    assert_eq!(status(&management.ask(read_hub("orders")).await), 200);
    assert_eq!(status(&management.ask(read_hub("other")).await), 401);
}
