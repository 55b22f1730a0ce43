//! What cases about links and messages begin with: a node that holds what they put there and nothing else.

use bytes::Bytes;

use crate::codec::{Attach, Header, Message, Outcome, Sections, Symbol, Transfer};
use crate::conform::case::Stop;
use crate::conform::dialogue::{Dialogue, Link, Refusal, frames};

/// A new connection and a session in it, and a node that holds these messages alone.
pub(super) async fn stock(peer: &mut Dialogue, messages: &[Bytes]) -> Result<(), Stop> {
    peer.open_session().await?;
    peer.empty_node().await?;
    peer.put(messages).await
}

/// The same, with texts; and a link to receive over that has this much credit.
pub(super) async fn consume(
    peer: &mut Dialogue,
    texts: &[&str],
    link_credit: u32,
) -> Result<Link, Stop> {
    let messages: Vec<Bytes> = texts.iter().map(|text| frames::text(text)).collect();
    stock(peer, &messages).await?;
    receive(peer, "link", link_credit).await
}

/// Attaches a link that a listener may refuse because it does not do such a thing: by whatever it ends then.
pub(super) async fn attach_if_taken(peer: &mut Dialogue, attach: Attach) -> Result<Link, Stop> {
    peer.attach(attach).await.map_err(|stop| match stop {
        Stop::Fail(came) if came.starts_with("end ") || came.starts_with("close ") => {
            Stop::skip(format!("the listener refuses the link: {came}"))
        }
        other => other,
    })
}

/// Attaches a link to receive over, and grants it this much credit.
pub(super) async fn receive(
    peer: &mut Dialogue,
    name: &str,
    link_credit: u32,
) -> Result<Link, Stop> {
    let link = peer.attach_receiver(name).await?;
    peer.grant(&link, initial(&link), link_credit).await?;
    Ok(link)
}

/// Where the listener began to count the deliveries of a link.
pub(super) fn initial(link: &Link) -> u32 {
    link.remote.initial_delivery_count.unwrap_or(0)
}

/// Sends one message when there is credit; gives its delivery-id.
pub(super) async fn post(peer: &mut Dialogue, link: &Link, message: &[u8]) -> Result<u32, Stop> {
    peer.expect_credit(link).await?;
    let transfer = peer.next_transfer(link)?;
    let delivery_id = transfer.delivery_id.unwrap_or(0);
    peer.send_transfer(transfer, message).await?;
    Ok(delivery_id)
}

/// States the outcome of a delivery of the listener, and settles it.
pub(super) async fn settle(
    peer: &mut Dialogue,
    delivery: &Transfer,
    outcome: impl Into<Outcome>,
) -> Result<(), Stop> {
    if delivery.settled == Some(true) {
        return Err(Stop::skip("the listener sends settled"));
    }
    let id = delivery.delivery_id.unwrap_or(0);
    peer.send(frames::settle(id, id, outcome.into())).await
}

/// The next delivery, which is accepted, has this text as its value.
pub(super) async fn expect_text(peer: &mut Dialogue, text: &str) -> Result<Transfer, Stop> {
    let (first, payload) = peer.accept_delivery().await?;
    match decoded(payload)?.body == Message::from(text).body {
        true => Ok(first),
        false => Err(Stop::fail(format!("another message in place of {text:?}"))),
    }
}

/// In a new session, the node holds messages with these texts, in any order, and no more.
pub(super) async fn expect_left(peer: &mut Dialogue, texts: &[&str]) -> Result<(), Stop> {
    peer.begin_on(frames::CHANNEL - 1, frames::begin()).await?;
    receive(peer, "left", frames::WINDOW).await?;
    let mut wanted: Vec<_> = texts.iter().map(|text| Message::from(*text).body).collect();
    while !wanted.is_empty() {
        let came = decoded(peer.accept_delivery().await?.1)?.body;
        match wanted.iter().position(|body| *body == came) {
            Some(at) => drop(wanted.remove(at)),
            None => return Err(Stop::fail(format!("{came:?} in place of {wanted:?}"))),
        }
    }
    peer.expect_silence().await
}

/// The message of a delivery.
pub(super) fn decoded(payload: Bytes) -> Result<Message, Stop> {
    Message::decode(payload)
        .map_err(|error| Stop::fail(format!("a message that does not decode: {error}")))
}

/// The header of a delivery's message; one that is not there says what its defaults are.
pub(super) fn header(payload: Bytes) -> Result<Header, Stop> {
    let header = Sections::scan(payload).and_then(|sections| sections.header());
    match header {
        Ok(header) => Ok(header.unwrap_or_default()),
        Err(error) => Err(Stop::fail(format!(
            "a header that does not decode: {error}"
        ))),
    }
}

/// The listener refuses, of whatever scope, and says why; another condition than these is remarked,
/// and so is a stream that ends without a word.
pub(super) async fn expect_error(
    peer: &mut Dialogue,
    conditions: &[Symbol],
) -> Result<Refusal, Stop> {
    let refusal = peer.expect_refusal().await?;
    match &refusal.error {
        None if !refusal.is_said => peer.remark("the stream ended without a close"),
        None => return Err(Stop::fail(format!("{refusal} in place of an error"))),
        Some(error) if conditions.contains(&error.condition) => {}
        Some(error) => peer.remark(format!("{} in place of {conditions:?}", error.condition)),
    }
    Ok(refusal)
}
