//! What the fuzz targets call: the engine, talking to a peer that may say anything, and to another engine. Compiled with
//! `--cfg fuzzing` only.

mod conversation;
mod peer;

use conversation::{Conversation, MAX_FRAME_SIZE};

/// The portions in which a peer's octets arrive; the last stands for all at once.
const PORTIONS: [usize; 8] = [1, 3, 8, 32, 100, 300, 1024, usize::MAX];
/// However small the portions are, there are no more than this, so that a long input is not a slow one.
const MAX_PORTIONS: usize = 128;

/// Works on two engines that talk to each other, as `choices` say: see the engine's simulation, which does so by a seed.
/// The first octet chooses the end, whether there are sessions and links to begin with, and whether other connections
/// follow; the next 256 are choices.
///
/// # Panics
///
/// Where the engines disagree, a message is lost or doubled, or a wait does not end.
pub fn operate(choices: &[u8]) {
    crate::engine::simulation::operate(choices);
}

/// Lets the peer say what the input has, in portions, with an application at work in between; then the stream breaks, and
/// every wait has to end.
///
/// The first octet chooses how far the conversation has come before (the low three bits), whether we begin before the
/// peer has opened (`0x08`), the portions (the next three bits), and whether what follows is a stream of octets or frames
/// that want a header: two octets, the channel and the length of the body, and the body (`0x80`). The length of the
/// stream chooses whether we write short or in full, and whether we close in the end.
///
/// # Panics
///
/// Where the engine breaks a promise: output that is no frame or too large, or a wait that does not end.
pub fn converse(input: &[u8]) {
    let Some((&choice, input)) = input.split_first() else {
        return;
    };
    let stream = match choice & 0x80 {
        0 => input.to_vec(),
        _ => peer::framed(input, MAX_FRAME_SIZE),
    };
    let portion = PORTIONS[usize::from(choice >> 4 & 7)].max(stream.len() / MAX_PORTIONS);
    let mut conversation = Conversation::start(input.len().is_multiple_of(3));
    conversation.advance(choice & 7, choice & 8 != 0);
    for octets in stream.chunks(portion) {
        conversation.hear(octets);
        conversation.work();
        conversation.speak();
    }
    if input.len().is_multiple_of(2) {
        conversation.close();
    }
    conversation.cut();
}
