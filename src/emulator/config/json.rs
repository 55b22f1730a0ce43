//! The configuration file of the official emulator.

use serde_json::{Map, Value};

use super::{EmulatorOptions, HubOptions};

/// Why a configuration was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not JSON.
    #[error("line {line}, column {column}: {problem}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser says.
        problem: String,
    },
    /// Something in it is missing or makes no sense.
    #[error("{place}: {problem}")]
    Content {
        /// Where, for example `UserConfig.NamespaceConfig[0].Entities[2].PartitionCount`.
        place: String,
        /// What was expected, or what is wrong.
        problem: String,
    },
}

impl EmulatorOptions {
    /// Options with the hubs of a configuration file of the official emulator. Words are read in any case, members that say
    /// nothing about hubs are passed over, and its limits on numbers of hubs, partitions and groups do not hold here.
    ///
    /// ```
    /// use amqp10::emulator::EmulatorOptions;
    ///
    /// let options = EmulatorOptions::from_json(
    ///     r#"{ "UserConfig": {
    ///            "NamespaceConfig": [ {
    ///                "Type": "EventHub",
    ///                "Name": "emulatorNs1",
    ///                "Entities": [ {
    ///                    "Name": "eh1",
    ///                    "PartitionCount": "2",
    ///                    "ConsumerGroups": [ { "Name": "cg1" } ]
    ///                } ]
    ///            } ],
    ///            "LoggingConfig": { "Type": "File" }
    ///        } }"#,
    /// )?;
    /// assert_eq!((options.hubs[0].name.as_str(), options.hubs[0].partitions), ("eh1", 2));
    /// # Ok::<(), amqp10::emulator::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the text is not JSON, or something in it is missing or makes no sense; the error says where.
    pub fn from_json(text: &str) -> Result<EmulatorOptions, ConfigError> {
        let value: Value = serde_json::from_str(text).map_err(|error| ConfigError::Syntax {
            line: error.line(),
            column: error.column(),
            problem: error.to_string(),
        })?;
        let root = Node {
            value: &value,
            place: String::new(),
        };
        let mut options = EmulatorOptions::default();
        for namespace in root
            .member("UserConfig")?
            .member("NamespaceConfig")?
            .items()?
        {
            namespace.check_type()?;
            for entity in namespace.member("Entities")?.items()? {
                options.hubs.push(entity.hub()?);
                // Here, so that the error names the entity.
                options.check().map_err(|problem| entity.wrong(problem))?;
            }
        }
        Ok(options)
    }
}

/// A value and where it is.
struct Node<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> Node<'a> {
    fn wrong(&self, problem: impl Into<String>) -> ConfigError {
        let place = match self.place.as_str() {
            "" => "the configuration",
            place => place,
        };
        ConfigError::Content {
            place: place.to_owned(),
            problem: problem.into(),
        }
    }

    fn object(&self) -> Result<&'a Map<String, Value>, ConfigError> {
        self.value
            .as_object()
            .ok_or_else(|| self.wrong("expected an object"))
    }

    /// A member, by its name in any case.
    fn find(&self, name: &str) -> Result<Option<Node<'a>>, ConfigError> {
        let mut members = self.object()?.iter();
        let found = members.find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null());
        let place = match self.place.as_str() {
            "" => name.to_owned(),
            place => format!("{place}.{name}"),
        };
        Ok(found.map(|(_, value)| Node { value, place }))
    }

    fn member(&self, name: &str) -> Result<Node<'a>, ConfigError> {
        self.find(name)?
            .ok_or_else(|| self.wrong(format!("expected a member '{name}'")))
    }

    fn items(&self) -> Result<impl Iterator<Item = Node<'a>>, ConfigError> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.wrong("expected an array"))?;
        let place = self.place.clone();
        Ok(items.iter().enumerate().map(move |(index, value)| Node {
            value,
            place: format!("{place}[{index}]"),
        }))
    }

    fn text(&self) -> Result<&'a str, ConfigError> {
        self.value
            .as_str()
            .ok_or_else(|| self.wrong("expected a string"))
    }

    /// A number, or a string with a number in it: the official emulator takes both.
    fn number(&self) -> Result<u32, ConfigError> {
        let number = match self.value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        number.ok_or_else(|| self.wrong("expected a number"))
    }

    /// Other kinds of namespaces have other kinds of entities.
    fn check_type(&self) -> Result<(), ConfigError> {
        match self.find("Type")? {
            Some(kind) if !kind.text()?.eq_ignore_ascii_case("EventHub") => {
                Err(kind.wrong("expected \"EventHub\""))
            }
            _ => Ok(()),
        }
    }

    fn hub(&self) -> Result<HubOptions, ConfigError> {
        let name = self.member("Name")?.text()?;
        let mut hub = HubOptions::new(name, self.member("PartitionCount")?.number()?);
        if let Some(groups) = self.find("ConsumerGroups")? {
            for group in groups.items()? {
                hub = hub.consumer_group(group.member("Name")?.text()?);
            }
        }
        Ok(hub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_entities(entities: &str) -> Result<EmulatorOptions, ConfigError> {
        EmulatorOptions::from_json(&format!(
            r#"{{"UserConfig": {{"NamespaceConfig": [{{"Type": "EventHub", "Entities": {entities}}}]}}}}"#
        ))
    }

    #[test]
    fn numbers_may_be_strings_and_words_in_any_case() {
        let options = with_entities(
            r#"[ {"name": "a", "partitionCount": 4},
                 {"Name": "b", "PartitionCount": "2", "ConsumerGroups": [{"Name": "$default"}, {"Name": "g"}]} ]"#,
        );
        let expected = [
            HubOptions::new("a", 4),
            HubOptions::new("b", 2).consumer_group("g"),
        ];
        assert_eq!(options.unwrap().hubs, expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let entity = "UserConfig.NamespaceConfig[0].Entities";
        let table = [
            (r#"{}"#, format!("{entity}: expected an array")),
            (
                r#"[{"PartitionCount": 1}]"#,
                format!("{entity}[0]: expected a member 'Name'"),
            ),
            (
                r#"[{"Name": 1, "PartitionCount": 1}]"#,
                format!("{entity}[0].Name: expected a string"),
            ),
            (
                r#"[{"Name": "a", "PartitionCount": "many"}]"#,
                format!("{entity}[0].PartitionCount: expected a number"),
            ),
            (
                r#"[{"Name": "a", "PartitionCount": 1}, {"Name": "A", "PartitionCount": 1}]"#,
                format!("{entity}[1]: the hub 'A' is there twice"),
            ),
            (
                r#"[{"Name": "a", "PartitionCount": 1, "ConsumerGroups": [{}]}]"#,
                format!("{entity}[0].ConsumerGroups[0]: expected a member 'Name'"),
            ),
        ];
        for (entities, text) in table {
            assert_eq!(with_entities(entities).unwrap_err().to_string(), text);
        }
        let text =
            r#"{"UserConfig": {"NamespaceConfig": [{"Type": "ServiceBus", "Entities": []}]}}"#;
        let error = EmulatorOptions::from_json(text).unwrap_err().to_string();
        assert_eq!(
            error,
            "UserConfig.NamespaceConfig[0].Type: expected \"EventHub\""
        );
        let error = EmulatorOptions::from_json("{}").unwrap_err().to_string();
        assert_eq!(error, "the configuration: expected a member 'UserConfig'");
        assert!(matches!(
            EmulatorOptions::from_json("{\n oops"),
            Err(ConfigError::Syntax { line: 2, .. })
        ));
    }
}
