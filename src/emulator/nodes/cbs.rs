//! `$cbs`: takes the tokens that say what a connection may use (Event Hubs).

use super::{Reply, argument};
use crate::codec::{AmqpError, Body, Message, Value, condition};
use crate::emulator::audience::Audience;
use crate::emulator::connection::Peer;
use crate::emulator::sas::{self, SasError};
use crate::eventhubs::wire::{cbs, request, status};

pub(super) fn answer(peer: &Peer, request: &Message) -> Reply {
    match put_token(peer, request) {
        // One official client takes 202 and nothing else.
        Ok(()) => Reply::success(status::ACCEPTED, "Accepted", Value::Null),
        Err(refusal) => refusal,
    }
}

fn put_token(peer: &Peer, request: &Message) -> Result<(), Reply> {
    if argument(request, request::OPERATION) != Some(cbs::PUT_TOKEN) {
        return Err(malformed("the only operation of $cbs is put-token"));
    }
    let name = argument(request, request::NAME)
        .ok_or_else(|| malformed("the property 'name' is missing"))?;
    let audience =
        Audience::parse(name).ok_or_else(|| malformed("the property 'name' is not an address"))?;
    let token = match &request.body {
        Body::Value(Value::String(token)) => token.as_str(),
        _ => return Err(malformed("the body must be a string: the token")),
    };
    let expires = match argument(request, request::TYPE) {
        Some(cbs::TYPE_SAS) => Some(verified(peer, token, &audience)?),
        Some(cbs::TYPE_JWT) if token.is_empty() => return Err(malformed("the token is empty")),
        Some(cbs::TYPE_JWT) if peer.namespace.options.accept_any_jwt => None,
        Some(cbs::TYPE_JWT) => {
            return Err(unauthorized(
                "this emulator takes shared access signatures only".into(),
            ));
        }
        _ => {
            return Err(malformed(
                "the property 'type' names no known type of token",
            ));
        }
    };
    if let Some(hub) = audience.hub() {
        peer.namespace
            .hub(hub)
            .map_err(|error| Reply::failure(status::NOT_FOUND, error))?;
    }
    peer.claims.grant(audience, expires).map_err(|_| {
        let error = AmqpError::new(
            condition::RESOURCE_LIMIT_EXCEEDED,
            "too many claims on this connection",
        );
        Reply::failure(status::FORBIDDEN, error)
    })
}

/// Verifies a shared access signature; returns when it ends.
fn verified(peer: &Peer, token: &str, audience: &Audience) -> Result<std::time::SystemTime, Reply> {
    let options = &peer.namespace.options;
    let grant = sas::verify(token, &options.access_key(), options.clock.now()).map_err(
        |error| match error {
            SasError::Malformed(_) => malformed(error.to_string()),
            SasError::UnknownKey(_) | SasError::BadSignature | SasError::Expired(_) => {
                unauthorized(error.to_string())
            }
        },
    )?;
    if grant.audience.covers(audience) {
        return Ok(grant.expires);
    }
    Err(unauthorized(
        "the token was signed for another resource than 'name'".into(),
    ))
}

fn malformed(text: impl Into<String>) -> Reply {
    Reply::failure(
        status::BAD_REQUEST,
        AmqpError::new(condition::INVALID_FIELD, text.into()),
    )
}

fn unauthorized(text: String) -> Reply {
    Reply::failure(
        status::UNAUTHORIZED,
        AmqpError::new(condition::UNAUTHORIZED_ACCESS, text),
    )
}
