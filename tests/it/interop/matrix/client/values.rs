//! Every type of value, in body, properties and annotations.

use amqp10::Outcome;
use serde_json::Value as Json;

use super::{Listening, Scene};
use crate::interop::json;

/// What comes back equals what was sent.
pub async fn every_type<P: Listening>() -> Option<()> {
    let scene = Scene::<P>::start().await?;
    for file in P::MESSAGES {
        let links = scene.links().await;
        for mut line in json::lines_of(file) {
            drop_numbered_annotations(&mut line);
            let outcome = links.send(json::from_json(&line)).await;
            assert_eq!(outcome, Outcome::Accepted, "{line}");
            let delivery = links.recv().await;
            let mut received = json::to_json(&delivery.message().unwrap());
            P::strip(&line, &mut received);
            assert_eq!(received, line);
            delivery.accept().unwrap();
        }
        links.close().await;
    }
    Some(())
}

/// No broker takes the annotations whose keys are numbers; the standard reserves them [3.2.10].
fn drop_numbered_annotations(message: &mut Json) {
    if let Some(Json::Array(pairs)) = message.get_mut("message_annotations") {
        pairs.retain(|pair| pair[0][0] == "symbol");
    }
}
