//! The types of transactions `[4.5]`. The outcome [`Declared`] and the state [`TransactionalState`] are used in
//! dispositions and transfers; [`Declare`] and [`Discharge`] are the bodies of messages to a coordinator.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::code::descriptor;
use crate::composite::{Composite, FieldReader, FieldWriter};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::outcome::Outcome;
use crate::read::{Decode, Reader};
use crate::symbol::Symbol;
use crate::value::Value;

/// Capabilities of a [`Coordinator`] `[4.5.7]`.
pub mod capability {
    use crate::symbol::Symbol;

    /// Transactions in one resource.
    pub const LOCAL_TRANSACTIONS: Symbol = Symbol::from_static("amqp:local-transactions");
    /// Transactions over several resources.
    pub const DISTRIBUTED_TRANSACTIONS: Symbol =
        Symbol::from_static("amqp:distributed-transactions");
    /// Local transactions that can become distributed ones.
    pub const PROMOTABLE_TRANSACTIONS: Symbol = Symbol::from_static("amqp:promotable-transactions");
    /// Several live transactions in one session.
    pub const MULTI_TXNS_PER_SSN: Symbol = Symbol::from_static("amqp:multi-txns-per-ssn");
    /// One transaction in several sessions.
    pub const MULTI_SSNS_PER_TXN: Symbol = Symbol::from_static("amqp:multi-ssns-per-txn");
}

/// `[4.5.1]` The target of a link that controls transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coordinator {
    /// What the controller wants, or what the resource has: see [`capability`].
    pub capabilities: Vec<Symbol>,
}

/// `[4.5.2]` Asks for a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declare {
    /// The global transaction it is part of.
    pub global_id: Option<Value>,
}

/// `[4.5.3]` Ends a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discharge {
    /// The transaction, at most 32 octets.
    pub txn_id: Bytes,
    /// Whether it is rolled back.
    pub fail: bool,
}

/// `[4.5.5]` The outcome of a [`Declare`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The new transaction, at most 32 octets.
    pub txn_id: Bytes,
}

/// `[4.5.6]` A delivery belongs to a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionalState {
    /// The transaction, at most 32 octets.
    pub txn_id: Bytes,
    /// How the delivery ends if the transaction succeeds.
    pub outcome: Option<Outcome>,
}

/// A transaction id on its way in.
struct TxnId(Bytes);

impl Decode for TxnId {
    fn decode_body(reader: &mut Reader, code: u8) -> Result<Self, DecodeError> {
        let octets = Bytes::decode_body(reader, code)?;
        if octets.len() > 32 {
            let reason = "a transaction id has more than 32 octets";
            return Err(reader.error(DecodeErrorKind::InvalidValue { reason }));
        }
        Ok(Self(octets))
    }
}

impl Composite for Coordinator {
    const DESCRIPTOR: u64 = descriptor::COORDINATOR;
    const NAME: &'static str = "coordinator";

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.multiple(&self.capabilities);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            capabilities: fields.multiple("capabilities")?,
        })
    }
}

impl Composite for Declare {
    const DESCRIPTOR: u64 = descriptor::DECLARE;
    const NAME: &'static str = "declare";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.optional(&self.global_id);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            global_id: fields.optional("global-id")?,
        })
    }
}

impl Composite for Discharge {
    const DESCRIPTOR: u64 = descriptor::DISCHARGE;
    const NAME: &'static str = "discharge";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.txn_id);
        fields.or(&self.fail, false);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        let TxnId(txn_id) = fields.required("txn-id")?;
        Ok(Self {
            txn_id,
            fail: fields.or_default("fail")?,
        })
    }
}

impl Composite for Declared {
    const DESCRIPTOR: u64 = descriptor::DECLARED;
    const NAME: &'static str = "declared";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.txn_id);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        let TxnId(txn_id) = fields.required("txn-id")?;
        Ok(Self { txn_id })
    }
}

impl Composite for TransactionalState {
    const DESCRIPTOR: u64 = descriptor::TRANSACTIONAL_STATE;
    const NAME: &'static str = "transactional-state";
    const ALWAYS_SHORT: bool = true;

    fn write_fields(&self, fields: &mut FieldWriter<'_, '_>) {
        fields.required(&self.txn_id);
        fields.optional(&self.outcome);
    }

    fn read_fields(fields: &mut FieldReader<'_>) -> Result<Self, DecodeError> {
        let TxnId(txn_id) = fields.required("txn-id")?;
        Ok(Self {
            txn_id,
            outcome: fields.optional("outcome")?,
        })
    }
}
