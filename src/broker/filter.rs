//! Filters of a source: which messages a link gets (Z-070..Z-076).

use super::message::{Changes, MessageView, StoredMessage};
use super::selector::{Operand, Selector};
use crate::codec::{
    AmqpError, ApplicationProperties, Described, FilterSet, MessageId, Str, Symbol, Value,
    condition,
};
use crate::filter::{Descriptor, HeadersMatch, capability};

/// Capabilities of a source that say which filters there are (Z-076).
pub(super) const CAPABILITIES: [Symbol; 3] = [
    capability::SELECTOR,
    capability::NO_LOCAL,
    capability::LEGACY_AMQP_EXCHANGE_FILTERS,
];

#[derive(Clone, Debug)]
enum Filter {
    Selector(Selector),
    /// Not what came by the connection of this number.
    NoLocal(u64),
    Subject(Str),
    SubjectPattern(Str),
    Headers(Headers),
}

/// Application properties that are asked for (Z-073).
#[derive(Clone, Debug)]
struct Headers {
    demand: HeadersMatch,
    /// Null: of whatever value.
    wanted: Vec<(Str, Value)>,
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
        let is = |descriptor: Descriptor| descriptor.describes(described);
        let text = || {
            let value = described.value.as_str();
            value.ok_or_else(|| invalid("the filter's value must be a string"))
        };
        Ok(Some(if is(Descriptor::SELECTOR) {
            let selector = text()?
                .parse::<Selector>()
                .map_err(|error| invalid(&error.to_string()))?;
            Self::Selector(selector)
        } else if is(Descriptor::NO_LOCAL) {
            Self::NoLocal(connection)
        } else if is(Descriptor::DIRECT_BINDING) {
            Self::Subject(text()?.into())
        } else if is(Descriptor::TOPIC_BINDING) {
            Self::SubjectPattern(text()?.into())
        } else if is(Descriptor::HEADERS_BINDING) {
            Self::Headers(Headers::parse(&described.value)?)
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
            Self::Headers(headers) => headers.match_properties(&message.view().application),
        }
    }
}

impl Headers {
    fn parse(binding: &Value) -> Result<Self, AmqpError> {
        let Value::Map(map) = binding else {
            return Err(invalid("the filter's value must be a map"));
        };
        let mut headers = Self {
            demand: HeadersMatch::All,
            wanted: Vec::new(),
        };
        for (name, value) in map.iter() {
            let Value::String(name) = name else {
                return Err(invalid("the keys of the filter's map must be strings"));
            };
            match (name.as_str(), value.as_str()) {
                ("x-match", Some("all")) => headers.demand = HeadersMatch::All,
                ("x-match", Some("any")) => headers.demand = HeadersMatch::Any,
                ("x-match", _) => return Err(invalid("x-match must be all or any")),
                (other, _) if other.starts_with("x-") => {}
                _ => headers.wanted.push((name.clone(), value.clone())),
            }
        }
        Ok(headers)
    }

    fn match_properties(&self, properties: &ApplicationProperties) -> bool {
        let is_there = |(name, wanted): &(Str, Value)| {
            let value = properties.get(name);
            value.is_some_and(|value| *wanted == Value::Null || value == wanted)
        };
        match self.demand {
            HeadersMatch::All => self.wanted.iter().all(is_there),
            HeadersMatch::Any => self.wanted.iter().any(is_there),
        }
    }
}

fn invalid(text: &str) -> AmqpError {
    AmqpError::new(condition::INVALID_FIELD, text)
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
