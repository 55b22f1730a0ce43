//! Error conditions of `[2.8.15]` to `[2.8.18]` and `[4.5.8]`.
//!
//! A peer may send others: a condition is any [`Symbol`] (E-019).

use crate::symbol::Symbol;

/// The peer failed internally (E-002).
pub const INTERNAL_ERROR: Symbol = Symbol::from_static("amqp:internal-error");
/// The remote entity does not exist (E-003).
pub const NOT_FOUND: Symbol = Symbol::from_static("amqp:not-found");
/// No permission (E-004).
pub const UNAUTHORIZED_ACCESS: Symbol = Symbol::from_static("amqp:unauthorized-access");
/// Bytes could not be decoded (E-005).
pub const DECODE_ERROR: Symbol = Symbol::from_static("amqp:decode-error");
/// The peer has used up what it was given (E-006).
pub const RESOURCE_LIMIT_EXCEEDED: Symbol = Symbol::from_static("amqp:resource-limit-exceeded");
/// A frame was used in a way that the standard does not allow (E-007).
pub const NOT_ALLOWED: Symbol = Symbol::from_static("amqp:not-allowed");
/// A field has a wrong value (E-008).
pub const INVALID_FIELD: Symbol = Symbol::from_static("amqp:invalid-field");
/// The peer does not have this feature (E-009).
pub const NOT_IMPLEMENTED: Symbol = Symbol::from_static("amqp:not-implemented");
/// Another client holds the entity (E-010).
pub const RESOURCE_LOCKED: Symbol = Symbol::from_static("amqp:resource-locked");
/// A precondition does not hold (E-011).
pub const PRECONDITION_FAILED: Symbol = Symbol::from_static("amqp:precondition-failed");
/// The entity was removed while it was used (E-012).
pub const RESOURCE_DELETED: Symbol = Symbol::from_static("amqp:resource-deleted");
/// The frame is not permitted now (E-013).
pub const ILLEGAL_STATE: Symbol = Symbol::from_static("amqp:illegal-state");
/// A performative does not fit in the largest frame (E-014).
pub const FRAME_SIZE_TOO_SMALL: Symbol = Symbol::from_static("amqp:frame-size-too-small");
/// An operator closed the connection (E-015).
pub const CONNECTION_FORCED: Symbol = Symbol::from_static("amqp:connection:forced");
/// Bytes could not be split into frames (E-015).
pub const FRAMING_ERROR: Symbol = Symbol::from_static("amqp:connection:framing-error");
/// Connect elsewhere: the error's info says where (E-015).
pub const CONNECTION_REDIRECT: Symbol = Symbol::from_static("amqp:connection:redirect");
/// The peer sent more than the session window allows (E-016).
pub const WINDOW_VIOLATION: Symbol = Symbol::from_static("amqp:session:window-violation");
/// Input for a link that was detached with an error (E-016).
pub const ERRANT_LINK: Symbol = Symbol::from_static("amqp:session:errant-link");
/// An attach with a handle that is in use (E-016).
pub const HANDLE_IN_USE: Symbol = Symbol::from_static("amqp:session:handle-in-use");
/// A frame for a handle that is not attached (E-016).
pub const UNATTACHED_HANDLE: Symbol = Symbol::from_static("amqp:session:unattached-handle");
/// An operator detached the link (E-017).
pub const DETACH_FORCED: Symbol = Symbol::from_static("amqp:link:detach-forced");
/// The peer sent more than the link's credit allows (E-017).
pub const TRANSFER_LIMIT_EXCEEDED: Symbol =
    Symbol::from_static("amqp:link:transfer-limit-exceeded");
/// A message is larger than the link allows (E-017).
pub const MESSAGE_SIZE_EXCEEDED: Symbol = Symbol::from_static("amqp:link:message-size-exceeded");
/// Attach elsewhere: the error's info says where (E-017).
pub const LINK_REDIRECT: Symbol = Symbol::from_static("amqp:link:redirect");
/// The link was attached again elsewhere (E-017).
pub const STOLEN: Symbol = Symbol::from_static("amqp:link:stolen");
/// No such transaction (E-018).
pub const TRANSACTION_UNKNOWN_ID: Symbol = Symbol::from_static("amqp:transaction:unknown-id");
/// The transaction was rolled back (E-018).
pub const TRANSACTION_ROLLBACK: Symbol = Symbol::from_static("amqp:transaction:rollback");
/// The transaction took too long (E-018).
pub const TRANSACTION_TIMEOUT: Symbol = Symbol::from_static("amqp:transaction:timeout");
