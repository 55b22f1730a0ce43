//! A message as the broker keeps it, and as it hands it on.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use tokio::time::{Duration, Instant};

use crate::codec::{
    AmqpError, Annotations, ApplicationProperties, DecodeError, Encode, EncodeError, Fields,
    Header, Properties, Sections, Symbol, Writer, code::descriptor, condition, decode_value,
    encode_value,
};

/// Messages below this many octets are copied out of the buffer that they were read into.
const SMALL: usize = 4096;
/// The delivery annotation that says why a message was rejected (O-007).
const REJECTED: Symbol = Symbol::from_static("rejected");

/// A message that was taken in. It never changes; what deliveries do to it is in [`Changes`].
#[derive(Debug)]
pub(super) struct StoredMessage {
    format: u32,
    payload: Bytes,
    /// Only of format 0: other formats are handed on as they came.
    sections: Option<Sections>,
    pub(super) header: Header,
    /// The number of the connection that it came by.
    pub(super) publisher: u64,
    pub(super) expires: Option<Instant>,
    view: OnceLock<Box<MessageView>>,
}

/// What filters look at, decoded when the first filter asks.
#[derive(Debug, Default)]
pub(super) struct MessageView {
    pub(super) properties: Properties,
    pub(super) application: ApplicationProperties,
    pub(super) annotations: Annotations,
}

/// What earlier deliveries have done to a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Deliveries that failed here (H-007).
    pub(super) failures: u32,
    /// Whether some link had it before (H-006).
    pub(super) was_acquired: bool,
    /// Annotations that were added or replaced (O-012).
    annotations: Fields,
    /// Why it is a dead letter.
    rejected: Option<AmqpError>,
    /// Of the annotations and the reason.
    octets: usize,
}

impl Changes {
    /// What they cost to keep, in octets.
    pub(super) fn size(&self) -> usize {
        self.octets
    }

    pub(super) fn annotations(&self) -> &Fields {
        &self.annotations
    }

    /// Adds or replaces annotations.
    pub(super) fn annotate(&mut self, annotations: &Fields) {
        for (key, value) in annotations.iter() {
            self.annotations.insert(key.clone(), value.clone());
        }
        self.measure();
    }

    pub(super) fn rejected(&self) -> Option<&AmqpError> {
        self.rejected.as_ref()
    }

    /// Makes a dead letter of the message (O-007).
    pub(super) fn reject(&mut self, reason: AmqpError) {
        self.failures = self.failures.saturating_add(1);
        self.rejected = Some(reason);
        self.measure();
    }

    fn measure(&mut self) {
        let mut octets = BytesMut::new();
        let mut writer = Writer::new(&mut octets);
        self.annotations.encode(&mut writer);
        if let Some(reason) = &self.rejected {
            reason.encode(&mut writer);
        }
        self.octets = octets.len();
    }
}

impl StoredMessage {
    /// Takes a message in.
    ///
    /// # Errors
    ///
    /// If the sections that the broker has to understand cannot be read.
    pub(super) fn new(
        format: u32,
        payload: Bytes,
        publisher: u64,
        now: Instant,
    ) -> Result<Self, DecodeError> {
        // A slice of a few octets would keep all that was read with it.
        let payload = match payload.len() < SMALL {
            true => Bytes::copy_from_slice(&payload),
            false => payload,
        };
        let sections = match format {
            0 => Some(Sections::scan(payload.clone())?),
            _ => None,
        };
        let header = match &sections {
            Some(sections) => sections.header()?.unwrap_or_default(),
            None => Header::default(),
        };
        let ttl = header.ttl.map(|ttl| Duration::from_millis(ttl.into()));
        Ok(Self {
            format,
            payload,
            sections,
            header,
            publisher,
            expires: ttl.and_then(|ttl| now.checked_add(ttl)),
            view: OnceLock::new(),
        })
    }

    /// What it costs to keep, in octets.
    pub(super) fn size(&self) -> usize {
        self.payload.len() + size_of::<Self>()
    }

    pub(super) fn format(&self) -> u32 {
        self.format
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What filters look at; what cannot be decoded is not there.
    pub(super) fn view(&self) -> &MessageView {
        self.view.get_or_init(|| {
            let Some(sections) = &self.sections else {
                return Box::default();
            };
            Box::new(MessageView {
                properties: sections.properties().ok().flatten().unwrap_or_default(),
                application: sections
                    .application_properties()
                    .ok()
                    .flatten()
                    .unwrap_or_default(),
                annotations: sections
                    .message_annotations()
                    .ok()
                    .flatten()
                    .unwrap_or_default(),
            })
        })
    }

    /// The message with its changes: a header of ours, and what comes after the delivery annotations as it came, unless
    /// its message annotations were changed.
    ///
    /// # Errors
    ///
    /// If a changed section cannot be encoded.
    pub(super) fn with_changes(&self, changes: &Changes, now: Instant) -> Result<Bytes, AmqpError> {
        let Some(sections) = &self.sections else {
            return Ok(self.payload.clone());
        };
        let annotations = match changes.annotations.is_empty() {
            true => None,
            false => Some(self.merged_annotations(changes)),
        };
        let rest = match annotations {
            None => sections.relayed(),
            Some(_) => sections.relayed_without_annotations(),
        };
        let rejected = changes.rejected().map(rejection).transpose()?;
        let head = head(self.header_now(changes, now), rejected, annotations);
        let head = head.map_err(internal)?;
        let mut whole = BytesMut::with_capacity(head.len() + rest.len());
        whole.extend_from_slice(&head);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }

    fn header_now(&self, changes: &Changes, now: Instant) -> Header {
        let expires = self.expires.filter(|_| changes.rejected().is_none());
        let remaining = expires.map(|expires| {
            let millis = expires.saturating_duration_since(now).as_millis();
            u32::try_from(millis).unwrap_or(u32::MAX)
        });
        Header {
            ttl: remaining, // H-005
            first_acquirer: !changes.was_acquired,
            delivery_count: self.header.delivery_count.saturating_add(changes.failures),
            ..self.header
        }
    }

    fn merged_annotations(&self, changes: &Changes) -> Annotations {
        let mut annotations = self.view().annotations.clone();
        for (key, value) in changes.annotations.iter() {
            annotations.insert(key.clone(), value.clone());
        }
        annotations
    }
}

/// The sections before the bare message.
fn head(
    header: Header,
    delivery: Option<Annotations>,
    message: Option<Annotations>,
) -> Result<BytesMut, EncodeError> {
    let mut octets = BytesMut::new();
    let mut writer = Writer::new(&mut octets);
    header.encode(&mut writer);
    for (section, annotations) in [
        (descriptor::DELIVERY_ANNOTATIONS, delivery),
        (descriptor::MESSAGE_ANNOTATIONS, message),
    ] {
        if let Some(annotations) = annotations {
            writer.write_descriptor(section);
            annotations.encode(&mut writer);
        }
    }
    writer.finish()?;
    Ok(octets)
}

fn rejection(error: &AmqpError) -> Result<Annotations, AmqpError> {
    let value = encode_value(error).map_err(internal)?;
    let value = decode_value(value).map_err(internal)?;
    Ok(Annotations::default().with(REJECTED, value))
}

fn internal(error: impl std::fmt::Display) -> AmqpError {
    AmqpError::new(condition::INTERNAL_ERROR, error.to_string())
}
