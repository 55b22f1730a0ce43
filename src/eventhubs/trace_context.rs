//! The trace that an event belongs to, as its application properties carry it (W3C Trace Context).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const SAMPLED: u8 = 1;
/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// Most members of a `tracestate`, and most characters of a member's key and value.
const MAX_MEMBERS: usize = 32;
const MAX_MEMBER_PART: usize = 256;

/// Which trace an event belongs to, and which span published it.
///
/// It is written as the application properties `traceparent`, `tracestate` and, for older readers, `Diagnostic-Id`, as
/// the clients of other languages do. To make and to read spans is the affair of a tracing library; this type is the
/// bridge to any of them.
///
/// ```
/// use amqp10::eventhubs::{Event, TraceContext};
///
/// let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert!(context.is_sampled());
/// let event = Event::from("21.5").with_trace_context(&context);
/// assert_eq!(event.trace_context(), Some(context));
/// # Ok::<(), amqp10::eventhubs::TraceContextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
    state: Option<String>,
}

/// What a trace context cannot be read from, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C trace context: {0}")]
pub struct TraceContextError(&'static str);

impl TraceContext {
    /// A context of these ids.
    ///
    /// # Errors
    ///
    /// If one of the ids is all zeros: that stands for none.
    pub fn new(
        trace_id: [u8; 16],
        parent_id: [u8; 8],
        is_sampled: bool,
    ) -> Result<Self, TraceContextError> {
        if trace_id == [0; 16] {
            return Err(TraceContextError("the trace id is all zeros"));
        }
        if parent_id == [0; 8] {
            return Err(TraceContextError("the parent id is all zeros"));
        }
        Ok(Self {
            trace_id,
            parent_id,
            flags: if is_sampled { SAMPLED } else { 0 },
            state: None,
        })
    }

    /// Adds what vendors say of the trace: `key=value` members divided by commas, at most 32.
    ///
    /// # Errors
    ///
    /// If it is not such a list.
    pub fn with_state(mut self, tracestate: &str) -> Result<Self, TraceContextError> {
        if !is_state(tracestate) {
            return Err(TraceContextError("the tracestate is malformed"));
        }
        self.state = Some(tracestate.to_owned());
        Ok(self)
    }

    /// Id of the trace.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// Id of the span that published the event.
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the publisher may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What vendors say of the trace.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// From what a peer wrote: a `tracestate` that is malformed is left out, as the standard says.
    pub(super) fn received(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let context: Self = traceparent.parse().ok()?;
        let state = tracestate.filter(|state| is_state(state));
        Some(Self {
            state: state.map(str::to_owned),
            ..context
        })
    }
}

/// The `traceparent`, of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        for octet in self.trace_id {
            write!(f, "{octet:02x}")?;
        }
        f.write_str("-")?;
        for octet in self.parent_id {
            write!(f, "{octet:02x}")?;
        }
        write!(f, "-{:02x}", self.flags & SAMPLED)
    }
}

/// Reads a `traceparent` of version 00, or of a later one as far as it is known.
impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(traceparent: &str) -> Result<Self, TraceContextError> {
        let (known, rest) = traceparent
            .split_at_checked(LENGTH)
            .ok_or(TraceContextError("it is shorter than 55 characters"))?;
        let mut parts = known.split('-');
        let mut part = || parts.next().unwrap_or_default();
        let [version] = hex(part())?;
        let trace_id = hex(part())?;
        let parent_id = hex(part())?;
        let [flags] = hex(part())?;
        match version {
            0 if rest.is_empty() => {}
            1..=0xfe if rest.is_empty() || rest.starts_with('-') => {}
            0xff => return Err(TraceContextError("there is no version ff")),
            _ => return Err(TraceContextError("something follows the flags")),
        }
        Self::new(trace_id, parent_id, flags & SAMPLED != 0)
    }
}

/// Octets in lower-case hexadecimal digits, of exactly that number.
fn hex<const N: usize>(digits: &str) -> Result<[u8; N], TraceContextError> {
    let malformed = TraceContextError("expected version-traceid-parentid-flags in lower-case hex");
    let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if digits.len() != 2 * N || !digits.bytes().all(is_hex) {
        return Err(malformed);
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
        *octet = value(pair[0]) << 4 | value(pair[1]);
    }
    Ok(octets)
}

fn is_state(tracestate: &str) -> bool {
    let is_key = |key: &str| {
        let octets = key.bytes();
        let is_known = |octet: u8| {
            octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"_-*/@".contains(&octet)
        };
        (1..=MAX_MEMBER_PART).contains(&key.len()) && octets.into_iter().all(is_known)
    };
    let is_value = |value: &str| {
        let is_known = |octet: u8| (0x20..=0x7e).contains(&octet) && octet != b'=';
        (1..=MAX_MEMBER_PART).contains(&value.len()) && value.bytes().all(is_known)
    };
    let members = tracestate
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    let is_member = |member: &&str| {
        let parts = member.split_once('=');
        parts.is_some_and(|(key, value)| is_key(key) && is_value(value))
    };
    (1..=MAX_MEMBERS).contains(&members.len()) && members.iter().all(is_member)
}

/// Says which trace the events belong to that are published now; see
/// [`ClientOptions::trace_context`](super::ClientOptions::trace_context).
#[derive(Clone)]
pub struct TraceContextSource(Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>);

impl TraceContextSource {
    /// Calls `current` for each event that is published without a context of its own; it must not block.
    pub fn new(current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    pub(super) fn current(&self) -> Option<TraceContext> {
        (self.0)()
    }
}

impl fmt::Debug for TraceContextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContextSource").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_alike() {
        let context: TraceContext = VALID.parse().unwrap();
        assert_eq!(context.to_string(), VALID);
        assert_eq!(context.trace_id()[..2], [0x4b, 0xf9]);
        assert_eq!(context.parent_id()[7], 0xb7);
        let unsampled: TraceContext = VALID.replace("-01", "-00").parse().unwrap();
        assert!(context.is_sampled() && !unsampled.is_sampled());
    }

    #[test]
    fn later_versions_are_read_as_far_as_known() {
        let later = format!("{}-what-comes", VALID.replace("00-4b", "cc-4b"));
        let context: TraceContext = later.parse().unwrap();
        assert_eq!(context.to_string(), VALID);
        let flags: TraceContext = VALID.replace("-01", "-ff").parse().unwrap();
        assert_eq!(
            flags.to_string(),
            VALID,
            "flags that we do not know are not handed on"
        );
    }

    #[test]
    fn malformed_parents_are_refused() {
        for malformed in [
            "".to_owned(),
            "00-".to_owned(),
            VALID[..54].to_owned(),
            format!("{VALID}-x"),
            format!("{VALID}."),
            VALID.to_uppercase(),
            VALID.replace("00-4b", "ff-4b"),
            VALID.replace("4b", "4g"),
            VALID.replace('-', "_"),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("cc{}.", &VALID[2..]),
            "ä".repeat(55),
            "|4bf92f3577b34da6a3ce929d0e0e4736.1.2.3.4.5.6.7.8.9.10.".to_owned(),
        ] {
            assert!(malformed.parse::<TraceContext>().is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_malformed_state_costs_the_state_alone() {
        let valid = ["a=1", "rojo=00f0,congo=t61 x", " a=1 ,, b@c=2", "0_-*/=~"];
        for state in valid {
            let context = TraceContext::received(VALID, Some(state)).unwrap();
            assert_eq!(context.state(), Some(state));
            let parent: TraceContext = VALID.parse().unwrap();
            assert_eq!(parent.with_state(state).unwrap(), context);
        }
        let long = format!("a={}", "x".repeat(257));
        let many = "a=1,".repeat(33);
        for state in [
            "", ",", "a", "=1", "a=", "A=1", "a=1=2", "a=ü", &long, &many,
        ] {
            let context = TraceContext::received(VALID, Some(state)).unwrap();
            assert_eq!(context.state(), None, "{state}");
            assert!(context.with_state(state).is_err());
        }
        assert_eq!(TraceContext::received("x", Some("a=1")), None);
    }
}
