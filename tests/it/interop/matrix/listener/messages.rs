//! Many messages, large ones, and every type of value.

use amqp10::Outcome;

use super::{Access, Connecting, NODE, Scene};
use crate::interop::all_pairs;
use crate::interop::json::{lines_of, to_json};
use crate::interop::matrix::client::messages::{number_of, numbered};
use crate::interop::program::path_of;

/// The peer sends, we look at what came, and it gets the same back.
async fn there_and_back(scene: Scene, count: usize, size: usize) {
    let Scene { server, client } = &scene;
    let (count_text, size_text) = (count.to_string(), size.to_string());
    let numbered = ["--count", &count_text, "--size", &size_text];
    client.send(NODE, &numbered, "accepted", count).await;
    let messages = server.messages(NODE);
    assert_eq!(messages.len(), count);
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(number_of(message, size), number as u64);
    }
    back(scene, count, size).await;
}

/// The peer gets what the node holds.
async fn back(scene: Scene, count: usize, size: usize) {
    scene.client.receive_numbered(count, size, &[]).await;
    let outcomes = scene.server.outcomes(NODE, count).await;
    assert_eq!(outcomes, vec![Outcome::Accepted; count]);
    scene.close().await;
}

pub async fn ten_thousand_small<C: Connecting>() -> Option<()> {
    there_and_back(Scene::start::<C>().await?, 10_000, 100).await;
    Some(())
}

pub async fn hundred_of_one_mebibyte<C: Connecting>() -> Option<()> {
    there_and_back(Scene::start::<C>().await?, 100, 1 << 20).await;
    Some(())
}

/// Neither side takes larger frames.
pub async fn fifty_mebibytes_at_512<C: Connecting>() -> Option<()> {
    let access = Access::plaintext(C::LOGIN).max_frame_size(512);
    let scene = Scene::with::<C>(access).await?;
    if C::SENDS_MANY_FRAMES || all_pairs() {
        there_and_back(scene, 1, 50 << 20).await;
    } else {
        scene.server.put(NODE, numbered(0, 50 << 20));
        back(scene, 1, 50 << 20).await;
    }
    Some(())
}

/// We get each message of the files as it is, and the peer gets it back as it was.
pub async fn every_type<C: Connecting>() -> Option<()> {
    for file in C::MESSAGES {
        let scene = Scene::start::<C>().await?;
        let Scene { server, client } = &scene;
        let lines = lines_of(file);
        let (count, path) = (lines.len(), path_of(file));
        let arguments = ["--messages", path.to_str().unwrap()];
        client.send(NODE, &arguments, "accepted", count).await;
        let received: Vec<_> = server.messages(NODE).iter().map(to_json).collect();
        assert_eq!(received, lines);
        let returned = client.call("receive", NODE, &[&count.to_string()]).await;
        assert_eq!(returned, lines);
        scene.close().await;
    }
    Some(())
}
