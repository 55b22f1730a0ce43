//! Transactions, part 4 of the standard: sending, receiving and settling as one piece of work that succeeds or fails as a whole.
//!
//! Either side of a connection can be the controller, and the other the resource:
//!
//! ```text
//! controller                                     resource
//! TransactionController ── declare, discharge ─> ControlLink     the control link, to the coordinator
//! Transaction::send     ── transfer ───────────> Delivery::update      posting
//! Transaction::retire   ── disposition ────────> Receipt::transactional_state   retirement
//! Transaction::acquire  ── flow ───────────────> Sender::acquired_by   acquisition
//! ```

mod control_link;
mod controller;
mod error;
mod work;

use bytes::{Bytes, BytesMut};

pub use self::control_link::{ControlLink, DeclareRequest, DischargeRequest, TransactionRequest};
pub use self::controller::{TransactionController, TransactionControllerOptions};
pub use self::error::TransactionError;
pub use self::work::Transaction;
use crate::codec::code::{self, descriptor};
pub use crate::codec::transaction::capability;
use crate::codec::{Encode, EncodeError, Writer};

/// A message of one amqp-value section that holds `request` [4.2, 4.3].
fn request_message(request: &impl Encode) -> Result<Bytes, EncodeError> {
    let mut message =
        BytesMut::from(&[code::DESCRIBED, code::ULONG_8, descriptor::AMQP_VALUE as u8][..]);
    let mut writer = Writer::new(&mut message);
    request.encode(&mut writer);
    writer.finish()?;
    Ok(message.freeze())
}
