//! What one hub is made of.

use crate::eventhubs::wire::DEFAULT_CONSUMER_GROUP;

/// Most partitions that one hub may have.
pub const MAX_PARTITIONS: u32 = 1024;

/// Longest name of a hub, in characters (Event Hubs).
const MAX_HUB_NAME: usize = 256;

/// Longest name of a consumer group, in characters (Event Hubs).
const MAX_GROUP_NAME: usize = 50;

/// One hub of a namespace.
///
/// ```
/// use amqp10::emulator::HubOptions;
///
/// let hub = HubOptions::new("orders", 4).consumer_group("analytics");
/// assert_eq!(hub.consumer_groups, ["analytics"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// Its name, 1 to 256 characters, compared without case.
    pub name: String,
    /// Its number of partitions, 1 to [`MAX_PARTITIONS`].
    pub partitions: u32,
    /// Its consumer groups besides `$Default`, which every hub has; each name 1 to 50 characters.
    pub consumer_groups: Vec<String>,
}

impl HubOptions {
    /// A hub with the consumer group that every hub has.
    pub fn new(name: impl Into<String>, partitions: u32) -> HubOptions {
        HubOptions {
            name: name.into(),
            partitions,
            consumer_groups: Vec::new(),
        }
    }

    /// Adds a consumer group; one that is there already, in whatever case, is not added again.
    pub fn consumer_group(mut self, name: impl Into<String>) -> HubOptions {
        let name = name.into();
        let is_there = name.eq_ignore_ascii_case(DEFAULT_CONSUMER_GROUP)
            || self
                .consumer_groups
                .iter()
                .any(|group| group.eq_ignore_ascii_case(&name));
        if !is_there {
            self.consumer_groups.push(name);
        }
        self
    }

    /// Says in words what is wrong, if anything is.
    pub(crate) fn check(&self, max_consumer_groups: usize) -> Result<(), String> {
        let HubOptions {
            name,
            partitions,
            consumer_groups,
        } = self;
        check_name("hub", name, MAX_HUB_NAME)?;
        if name.starts_with('$') {
            return Err(format!(
                "the hub name '{name}' begins with $, which belongs to the service's own nodes"
            ));
        }
        if !(1..=MAX_PARTITIONS).contains(partitions) {
            return Err(format!(
                "the hub '{name}' has {partitions} partitions; expected 1 to {MAX_PARTITIONS}"
            ));
        }
        let groups = consumer_groups.len() + 1;
        if groups > max_consumer_groups {
            return Err(format!(
                "the hub '{name}' has {groups} consumer groups with $Default; at most {max_consumer_groups} are allowed"
            ));
        }
        consumer_groups
            .iter()
            .try_for_each(|group| check_name("consumer group", group, MAX_GROUP_NAME))
    }
}

fn check_name(what: &str, name: &str, longest: usize) -> Result<(), String> {
    let length = name.chars().count();
    if !(1..=longest).contains(&length) {
        return Err(format!(
            "the {what} name '{name}' has {length} characters; expected 1 to {longest}"
        ));
    }
    if name.contains(|c: char| c == '/' || c == ';' || c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "the {what} name '{name}' holds a slash, a semicolon or a blank"
        ));
    }
    Ok(())
}
