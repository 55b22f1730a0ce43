//! The resource's end of a control link: what a listener's coordinator is asked.

use bytes::{Bytes, BytesMut};

use crate::codec::transaction::{Coordinator, Declare, Declared, Discharge};
use crate::codec::{
    AmqpError, Body, Decode, DeliveryState, Encode, Outcome, Reader, Source, Symbol,
    TargetArchetype, Value, Writer, condition,
};
use crate::{
    AcceptLinkOptions, AcceptedLink, Delivery, IncomingLink, LinkError, OnDrop, Receiver, RecvError,
};

/// A link from a controller to the coordinator of this side [4.1]: an incoming link whose target
/// [is a coordinator](Self::is_wanted_by).
///
/// What becomes of transactions is the application's: it names them, applies or undoes the work done in them, and when the
/// link ends rolls back all that were declared on it and not discharged.
#[derive(Debug)]
pub struct ControlLink {
    receiver: Receiver,
    takes_rejected: bool,
}

/// What a controller asks for.
#[derive(Debug)]
pub enum TransactionRequest {
    /// A new transaction.
    Declare(DeclareRequest),
    /// The end of one.
    Discharge(DischargeRequest),
}

/// Asks for a new transaction [4.2]. Dropped, it is refused.
#[derive(Debug)]
pub struct DeclareRequest {
    declare: Declare,
    answer: Answer,
}

/// Asks for the end of a transaction [4.3]. Dropped, it is refused.
#[derive(Debug)]
pub struct DischargeRequest {
    discharge: Discharge,
    answer: Answer,
}

impl ControlLink {
    /// Whether an incoming link is one to a coordinator.
    pub fn is_wanted_by(link: &IncomingLink) -> bool {
        matches!(link.attach().target, Some(TargetArchetype::Coordinator(_)))
    }

    /// Accepts a link to the coordinator and says what that is capable of: see [`capability`](super::capability).
    ///
    /// # Errors
    ///
    /// If the link ended before; [`LinkError::WrongRole`] if it is none to a coordinator.
    ///
    /// # Cancel safety
    ///
    /// Resolves without waiting.
    pub async fn accept(
        link: IncomingLink,
        capabilities: impl IntoIterator<Item = Symbol>,
    ) -> Result<Self, LinkError> {
        if !Self::is_wanted_by(&link) {
            return Err(LinkError::WrongRole);
        }
        let source = link.attach().source.as_ref();
        let takes_rejected = source.is_none_or(Source::takes_rejected);
        let coordinator = Coordinator {
            capabilities: capabilities.into_iter().collect(),
        };
        let options = AcceptLinkOptions::default()
            .target(TargetArchetype::Coordinator(coordinator))
            .on_drop(OnDrop::Reject);
        match link.accept(options).await? {
            AcceptedLink::Receiver(receiver) => Ok(Self {
                receiver,
                takes_rejected,
            }),
            AcceptedLink::Sender(_) => Err(LinkError::WrongRole),
        }
    }

    /// Waits for the next request. A controller that breaks the rules of the control link loses it, with the reason.
    ///
    /// # Errors
    ///
    /// Why the link ended: its transactions are to be rolled back.
    ///
    /// # Cancel safety
    ///
    /// No request is lost by dropping the future.
    pub async fn recv(&self) -> Result<TransactionRequest, RecvError> {
        let delivery = self.receiver.recv().await?;
        match read(&delivery) {
            Ok(request) => Ok(self.request(request, delivery)),
            Err((condition, text)) => {
                // The link goes before the delivery, so that nothing is said of that.
                let error = AmqpError::new(condition, text);
                let _ = self.receiver.close_with_error(error).await;
                Err(LinkError::LocalDetached.into())
            }
        }
    }

    fn request(&self, request: Request, delivery: Delivery) -> TransactionRequest {
        let answer = Answer {
            delivery,
            receiver: self.receiver.clone(),
            takes_rejected: self.takes_rejected,
        };
        match request {
            Request::Declare(declare) => {
                TransactionRequest::Declare(DeclareRequest { declare, answer })
            }
            Request::Discharge(discharge) => {
                TransactionRequest::Discharge(DischargeRequest { discharge, answer })
            }
        }
    }

    /// Ends the link with the reason, for example because a discharge came while a message of the transaction was still
    /// being sent [4.4.1].
    ///
    /// # Errors
    ///
    /// If the link had ended otherwise, or the peer does not answer.
    ///
    /// # Cancel safety
    ///
    /// The detach is sent in any case.
    pub async fn close_with_error(&self, error: AmqpError) -> Result<(), LinkError> {
        self.receiver.close_with_error(error).await
    }
}

/// The body of a request.
enum Request {
    Declare(Declare),
    Discharge(Discharge),
}

/// What a delivery on the control link asks for, or how it breaks the rules.
fn read(delivery: &Delivery) -> Result<Request, (Symbol, &'static str)> {
    if matches!(delivery.state(), Some(DeliveryState::Transactional(_))) {
        let text = "transactional work has no place on a control link";
        return Err((condition::NOT_ALLOWED, text));
    }
    if delivery.is_settled() {
        let text = "a request to the coordinator must not be settled";
        return Err((condition::NOT_ALLOWED, text));
    }
    let body = delivery.sections().and_then(|sections| sections.body());
    let request = match body {
        Ok(Body::Value(value)) => decoded(&value)
            .map(Request::Declare)
            .or_else(|| decoded(&value).map(Request::Discharge)),
        _ => None,
    };
    let text = "expected one amqp-value section with declare or discharge";
    request.ok_or((condition::DECODE_ERROR, text))
}

fn decoded<T: Decode>(value: &Value) -> Option<T> {
    let mut octets = BytesMut::new();
    let mut writer = Writer::new(&mut octets);
    value.encode(&mut writer);
    writer.finish().ok()?;
    T::decode(&mut Reader::new(octets.freeze())).ok()
}

impl DeclareRequest {
    /// The global transaction that it is to be a part of, if it is [4.5.2].
    pub fn global_id(&self) -> Option<&Value> {
        self.declare.global_id.as_ref()
    }

    /// Declares the transaction under this name, at most 32 octets.
    ///
    /// # Errors
    ///
    /// Why the link ended: nobody will use the transaction.
    pub fn declared(self, txn_id: impl Into<Bytes>) -> Result<(), LinkError> {
        let txn_id = txn_id.into();
        self.answer
            .delivery
            .settle(Outcome::Declared(Declared { txn_id }))
    }

    /// Refuses: as an outcome, or with the end of the link if the controller does not take that outcome [4.2].
    ///
    /// # Errors
    ///
    /// Why the link ended.
    ///
    /// # Cancel safety
    ///
    /// The refusal is sent in any case.
    pub async fn reject(self, error: AmqpError) -> Result<(), LinkError> {
        self.answer.reject(error).await
    }
}

impl DischargeRequest {
    /// The transaction that is to end.
    pub fn txn_id(&self) -> &Bytes {
        &self.discharge.txn_id
    }

    /// Whether it is to be rolled back.
    pub fn is_rollback(&self) -> bool {
        self.discharge.fail
    }

    /// Says that it is done: committed, or rolled back where that was asked for.
    ///
    /// # Errors
    ///
    /// Why the link ended: the controller will not know.
    pub fn discharged(self) -> Result<(), LinkError> {
        self.answer.delivery.accept()
    }

    /// Says that it was rolled back instead, or that there is no such transaction: as an outcome, or with the end of the link
    /// if the controller does not take that outcome [4.3].
    ///
    /// # Errors
    ///
    /// Why the link ended.
    ///
    /// # Cancel safety
    ///
    /// The refusal is sent in any case.
    pub async fn reject(self, error: AmqpError) -> Result<(), LinkError> {
        self.answer.reject(error).await
    }
}

/// The duty to answer a request.
#[derive(Debug)]
struct Answer {
    delivery: Delivery,
    receiver: Receiver,
    takes_rejected: bool,
}

impl Answer {
    async fn reject(self, error: AmqpError) -> Result<(), LinkError> {
        match self.takes_rejected {
            true => self.delivery.reject(Some(error)),
            false => self.receiver.close_with_error(error).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request_message;
    use super::*;

    fn body(message: &Bytes) -> Value {
        let message = crate::Message::decode(message.clone()).unwrap();
        match message.body {
            Body::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn x_008_declare_is_one_amqp_value_section() {
        let message = request_message(&Declare::default()).unwrap();
        assert_eq!(&message[..], [0x00, 0x53, 0x77, 0x00, 0x53, 0x31, 0x45]);
        assert_eq!(decoded(&body(&message)), Some(Declare::default()));
        assert_eq!(decoded::<Discharge>(&body(&message)), None);
    }

    #[test]
    fn x_014_discharge_carries_the_id_and_whether_it_failed() {
        let discharge = Discharge {
            txn_id: Bytes::from_static(&[7]),
            fail: true,
        };
        let message = request_message(&discharge).unwrap();
        let expected = b"\x00\x53\x77\x00\x53\x32\xc0\x05\x02\xa0\x01\x07\x41";
        assert_eq!(&message[..], expected);
        assert_eq!(decoded(&body(&message)), Some(discharge));
    }
}
