//! What a hub is made of, as a text file: one word and its value a line.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::super::config::HubOptions;
use super::super::error::EmulatorError;
use super::sync_folder;
use crate::codec::Timestamp;

/// The file's name in the hub's folder.
const FILE: &str = "hub";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) options: HubOptions,
    pub(super) created: Timestamp,
}

impl Description {
    /// Writes the file, all of it or nothing.
    pub(super) fn write(&self, folder: &Path) -> Result<(), EmulatorError> {
        let path = folder.join(FILE);
        let unfinished = folder.join("hub.new");
        let written = fs::File::create(&unfinished).and_then(|mut file| {
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        });
        written.map_err(EmulatorError::at(&path))?;
        sync_folder(folder);
        Ok(())
    }

    /// Reads the file.
    pub(super) fn read(folder: &Path) -> Result<Description, EmulatorError> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(EmulatorError::at(&path))?;
        Description::parse(&text).map_err(|what| EmulatorError::damaged(&path, what))
    }

    /// Names hold neither blanks nor line ends.
    fn to_text(&self) -> String {
        let HubOptions {
            name,
            partitions,
            consumer_groups,
        } = &self.options;
        let groups: String = consumer_groups
            .iter()
            .map(|group| format!("group {group}\n"))
            .collect();
        let created = self.created.0;
        format!("hub {name}\npartitions {partitions}\ncreated {created}\n{groups}")
    }

    fn parse(text: &str) -> Result<Description, String> {
        let (mut name, mut partitions, mut created) = (None, None, None);
        let mut groups = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = || format!("line {}, {line:?}, is not understood", index + 1);
            let (word, value) = line.split_once(' ').ok_or_else(wrong)?;
            match word {
                "hub" => name = Some(value),
                "partitions" => partitions = Some(value.parse().map_err(|_| wrong())?),
                "created" => created = Some(value.parse().map_err(|_| wrong())?),
                "group" => groups.push(value),
                _ => return Err(wrong()),
            }
        }
        let (Some(name), Some(partitions), Some(created)) = (name, partitions, created) else {
            return Err("it must have lines for hub, partitions and created".into());
        };
        let options = groups.into_iter().fold(
            HubOptions::new(name, partitions),
            HubOptions::consumer_group,
        );
        options.check(usize::MAX)?;
        Ok(Description {
            options,
            created: Timestamp(created),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let description = Description {
            options: HubOptions::new("Orders-é", 4)
                .consumer_group("a")
                .consumer_group("b"),
            created: Timestamp(1_700_000_000_123),
        };
        assert_eq!(Description::parse(&description.to_text()), Ok(description));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let table = [
            ("hub orders\npartitions 4\n", "created"),
            ("hub orders\npartitions four\ncreated 0\n", "line 2"),
            ("hub orders\npartitions 0\ncreated 0\n", "partitions"),
            ("hub\n", "line 1"),
            ("", "hub"),
        ];
        for (text, words) in table {
            let error = Description::parse(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
