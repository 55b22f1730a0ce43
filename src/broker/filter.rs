//! Filters of a source: which messages a link gets (Z-070..Z-076).

use super::message::{Changes, MessageView, StoredMessage};
use super::selector::{Operand, Selector};
use crate::codec::{AmqpError, Described, FilterSet, MessageId, Str, Symbol, Value, condition};

/// Capabilities of a source that say which filters there are (Z-076).
pub(super) const CAPABILITIES: [Symbol; 3] = [
    Symbol::from_static("APACHE.ORG:SELECTOR"),
    Symbol::from_static("APACHE.ORG:NO_LOCAL"),
    Symbol::from_static("APACHE.ORG:LEGACY_AMQP_EXCHANGE_FILTERS"),
];

/// The filters that are known, by number and symbol.
const DIRECT: (u64, &str) = (
    0x0000_468C_0000_0000,
    "apache.org:legacy-amqp-direct-binding:string",
);
const TOPIC: (u64, &str) = (
    0x0000_468C_0000_0001,
    "apache.org:legacy-amqp-topic-binding:string",
);
const NO_LOCAL: (u64, &str) = (0x0000_468C_0000_0003, "apache.org:no-local-filter:list");
const SELECTOR: (u64, &str) = (0x0000_468C_0000_0004, "apache.org:selector-filter:string");

#[derive(Clone, Debug)]
enum Filter {
    Selector(Selector),
    /// Not what came by the connection of this number.
    NoLocal(u64),
    Subject(Str),
    SubjectPattern(Str),
}

/// All filters of a link: a message has to pass every one.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters(Vec<Filter>);

impl Filters {
    /// Reads the filters of a source. What is not known is left out of the set that is in force, which the answer names
    ///
    pub(super) fn parse(
        asked: &FilterSet,
        connection: u64,
    ) -> Result<(Self, FilterSet), AmqpError> {
        let mut filters = Self::default();
        let mut in_force = FilterSet::default();
        for (key, value) in asked.iter() {
            if let Value::Described(described) = value
                && let Some(filter) = Filter::parse(described, connection)?
            {
                filters.0.push(filter);
                in_force.insert(key.clone(), value.clone());
            }
        }
        Ok((filters, in_force))
    }

    pub(super) fn pass(&self, message: &StoredMessage, changes: &Changes) -> bool {
        self.0.iter().all(|filter| filter.passes(message, changes))
    }
}

impl Filter {
    fn parse(described: &Described, connection: u64) -> Result<Option<Self>, AmqpError> {
        let is = |(code, name): (u64, &str)| match &described.descriptor {
            Value::Ulong(descriptor) => *descriptor == code,
            Value::Symbol(descriptor) => *descriptor == *name,
            _ => false,
        };
        let text = || {
            described.value.as_str().ok_or_else(|| {
                AmqpError::new(
                    condition::INVALID_FIELD,
                    "the filter's value must be a string",
                )
            })
        };
        Ok(Some(if is(SELECTOR) {
            let selector = text()?
                .parse::<Selector>()
                .map_err(|error| AmqpError::new(condition::INVALID_FIELD, error.to_string()))?;
            Self::Selector(selector)
        } else if is(NO_LOCAL) {
            Self::NoLocal(connection)
        } else if is(DIRECT) {
            Self::Subject(text()?.into())
        } else if is(TOPIC) {
            Self::SubjectPattern(text()?.into())
        } else {
            return Ok(None);
        }))
    }

    fn passes(&self, message: &StoredMessage, changes: &Changes) -> bool {
        let subject = || message.view().properties.subject.as_ref();
        match self {
            Self::Selector(selector) => selector.matches(&|name| property(name, message, changes)),
            Self::NoLocal(connection) => message.publisher != *connection,
            Self::Subject(wanted) => subject() == Some(wanted),
            Self::SubjectPattern(pattern) => {
                let subject = subject().map_or("", |subject| subject.as_str());
                matches_words(pattern, subject)
            }
        }
    }
}

/// Whether a subject of words between dots fits a pattern in which `*` is one word and `#` any number (Z-072).
fn matches_words(pattern: &str, subject: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let subject: Vec<&str> = match subject.is_empty() {
        true => Vec::new(),
        false => subject.split('.').collect(),
    };
    // Row by row, which subjects up to here fit the pattern up to there: never more than the product of both.
    let mut fits = vec![false; subject.len() + 1];
    fits[0] = true;
    for word in pattern {
        let before = fits.clone();
        for (end, fit) in fits.iter_mut().enumerate() {
            *fit = match word {
                "#" => before[..=end].contains(&true),
                _ => end > 0 && before[end - 1] && (word == "*" || word == subject[end - 1]),
            };
        }
    }
    fits[subject.len()]
}

/// What a name in a selector stands for.
fn property(name: &str, message: &StoredMessage, changes: &Changes) -> Operand {
    let view = message.view();
    if let Some(key) = name.strip_prefix("amqp.annotation.") {
        let changed = changes.annotations().get(key);
        return operand(changed.or_else(|| view.annotations.get(key)));
    }
    if let Some(field) = name.strip_prefix("amqp.") {
        return header_field(field, message, changes)
            .unwrap_or_else(|| properties_field(field, view));
    }
    match name {
        "JMSPriority" => Operand::Integer(message.header.priority.into()),
        "JMSDeliveryMode" => Operand::Text(Str::from_static(match message.header.durable {
            true => "PERSISTENT",
            false => "NON_PERSISTENT",
        })),
        "JMSMessageID" => properties_field("message_id", view),
        "JMSCorrelationID" => properties_field("correlation_id", view),
        "JMSTimestamp" => properties_field("creation_time", view),
        "JMSType" => properties_field("subject", view),
        name => operand(view.application.get(name)),
    }
}

fn operand(value: Option<&Value>) -> Operand {
    value.map_or(Operand::Unknown, Operand::from)
}

fn header_field(field: &str, message: &StoredMessage, changes: &Changes) -> Option<Operand> {
    let header = &message.header;
    Some(match field {
        "durable" => Operand::Truth(header.durable),
        "priority" => Operand::Integer(header.priority.into()),
        "ttl" => header
            .ttl
            .map_or(Operand::Unknown, |ttl| Operand::Integer(ttl.into())),
        "first_acquirer" => Operand::Truth(!changes.was_acquired),
        "delivery_count" => Operand::Integer(
            header
                .delivery_count
                .saturating_add(changes.failures)
                .into(),
        ),
        _ => return None,
    })
}

fn properties_field(field: &str, view: &MessageView) -> Operand {
    let properties = &view.properties;
    let text = |value: &Option<Str>| value.clone().map_or(Operand::Unknown, Operand::Text);
    let symbol = |value: &Option<Symbol>| {
        let value = value.as_ref();
        value.map_or(Operand::Unknown, |value| {
            Operand::Text(value.as_str().into())
        })
    };
    let time = |value: Option<crate::codec::Timestamp>| {
        value.map_or(Operand::Unknown, |time| Operand::Integer(time.millis()))
    };
    match field {
        "message_id" => id(&properties.message_id),
        "correlation_id" => id(&properties.correlation_id),
        "to" => text(&properties.to),
        "subject" => text(&properties.subject),
        "reply_to" => text(&properties.reply_to),
        "content_type" => symbol(&properties.content_type),
        "content_encoding" => symbol(&properties.content_encoding),
        "absolute_expiry_time" => time(properties.absolute_expiry_time),
        "creation_time" => time(properties.creation_time),
        "group_id" => text(&properties.group_id),
        "group_sequence" => properties
            .group_sequence
            .map_or(Operand::Unknown, |number| Operand::Integer(number.into())),
        "reply_to_group_id" => text(&properties.reply_to_group_id),
        "user_id" => properties
            .user_id
            .as_ref()
            .and_then(|user| std::str::from_utf8(user).ok())
            .map_or(Operand::Unknown, |user| Operand::Text(user.into())),
        _ => Operand::Unknown,
    }
}

fn id(id: &Option<MessageId>) -> Operand {
    match id {
        None => Operand::Unknown,
        Some(MessageId::Ulong(number)) => {
            i64::try_from(*number).map_or(Operand::Real(*number as f64), Operand::Integer)
        }
        Some(MessageId::String(text)) => Operand::Text(text.clone()),
        Some(MessageId::Uuid(uuid)) => Operand::Text(uuid.to_string().into()),
        Some(MessageId::Binary(_)) => Operand::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_072_words_between_dots() {
        for (pattern, subject, expected) in [
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#", "", true),
            ("*", "", false),
            ("#.c", "a.b.c", true),
            ("a", "a.b", false),
        ] {
            assert_eq!(
                matches_words(pattern, subject),
                expected,
                "{pattern} {subject}"
            );
        }
    }
}
