//! Who may read a partition in a consumer group: owner levels, and how many without one (Event Hubs).

use tokio::sync::oneshot;

use crate::codec::{AmqpError, condition};

/// The readers of one partition in one consumer group.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    admitted: Vec<Admitted>,
    next_id: u64,
}

#[derive(Debug)]
struct Admitted {
    id: u64,
    candidate: Candidate,
    evict: oneshot::Sender<AmqpError>,
}

/// Who asks to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The name for error texts; `nil` if the client gave none.
    pub(crate) name: Option<String>,
    /// The owner level; without one the reader shares the partition.
    pub(crate) epoch: Option<i64>,
}

/// A reader's place. Whoever is thrown out hears the reason from `evicted`.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) id: u64,
    pub(crate) evicted: oneshot::Receiver<AmqpError>,
}

impl Candidate {
    fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or("nil")
    }
}

impl Readers {
    /// Admits a reader, evicting those that it outranks; or says why not.
    pub(crate) fn admit(
        &mut self,
        candidate: Candidate,
        max_shared: usize,
    ) -> Result<Admission, AmqpError> {
        match candidate.epoch {
            Some(epoch) => self.evict_for(&candidate, epoch)?,
            None => self.check_shared(&candidate, max_shared)?,
        }
        let (evict, evicted) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.admitted.push(Admitted {
            id,
            candidate,
            evict,
        });
        Ok(Admission { id, evicted })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.admitted.len()
    }

    /// Takes a reader out; one that was evicted is out already.
    pub(crate) fn leave(&mut self, id: u64) {
        self.admitted.retain(|reader| reader.id != id);
    }

    /// An owner level as high as the present one or higher wins; the newest of equals too.
    fn evict_for(&mut self, candidate: &Candidate, epoch: i64) -> Result<(), AmqpError> {
        let name = candidate.shown();
        if let Some((owner, present)) = self.owner().filter(|(_, present)| *present > epoch) {
            let text = format!(
                "Receiver '{}' with a higher epoch '{present}' already exists. Receiver '{name}' with epoch '{epoch}' \
                 cannot be created. Make sure you are creating receiver with increasing epoch value to ensure \
                 connectivity, or ensure all old epoch receivers are closed or disconnected.",
                owner.shown()
            );
            return Err(AmqpError::new(condition::STOLEN, text));
        }
        for reader in self.admitted.drain(..) {
            let present = reader
                .candidate
                .epoch
                .map_or_else(|| "-1".to_owned(), |present| present.to_string());
            let text = format!(
                "New receiver '{name}' with higher epoch of '{epoch}' is created hence current receiver '{}' with \
                 epoch '{present}' is getting disconnected. If you are recreating the receiver, make sure a higher \
                 epoch is used.",
                reader.candidate.shown()
            );
            // A reader that has just ended by itself no longer listens.
            let _ = reader.evict.send(AmqpError::new(condition::STOLEN, text));
        }
        Ok(())
    }

    fn check_shared(&self, candidate: &Candidate, max_shared: usize) -> Result<(), AmqpError> {
        if let Some((owner, epoch)) = self.owner() {
            let text = format!(
                "Receiver '{}' with epoch '{epoch}' already exists. Receiver '{}' without epoch cannot be created. \
                 Either reconnect with an epoch as high, or make sure all epoch receivers are closed or disconnected.",
                owner.shown(),
                candidate.shown()
            );
            return Err(AmqpError::new(condition::STOLEN, text));
        }
        if self.admitted.len() >= max_shared {
            let text = format!(
                "Exceeded the maximum number of allowed receivers per partition in a consumer group which is \
                 {max_shared}. The receiver '{}' cannot be created.",
                candidate.shown()
            );
            return Err(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
        }
        Ok(())
    }

    /// The reader with an owner level, of which there is at most one.
    fn owner(&self) -> Option<(&Candidate, i64)> {
        let mut candidates = self.admitted.iter().map(|reader| &reader.candidate);
        candidates.find_map(|candidate| candidate.epoch.map(|epoch| (candidate, epoch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(name: &str, epoch: Option<i64>) -> Candidate {
        Candidate {
            name: Some(name.into()),
            epoch,
        }
    }

    #[test]
    fn a_higher_or_equal_owner_level_takes_over_and_tells_the_old_owner() {
        for (present, newcomer) in [(0, 0), (0, 1), (i64::MIN, i64::MAX)] {
            let mut readers = Readers::default();
            let mut old = readers.admit(reader("old", Some(present)), 5).unwrap();
            let mut new = readers.admit(reader("new", Some(newcomer)), 5).unwrap();
            let error = old.evicted.try_recv().unwrap();
            assert_eq!(error.condition, condition::STOLEN);
            let text = error.description.unwrap();
            let expected = format!(
                "New receiver 'new' with higher epoch of '{newcomer}' is created hence current receiver 'old' \
                 with epoch '{present}' is getting disconnected."
            );
            assert!(text.as_str().starts_with(&expected), "{text}");
            assert!(new.evicted.try_recv().is_err());
        }
    }

    #[test]
    fn a_lower_owner_level_is_refused_and_disturbs_nobody() {
        let mut readers = Readers::default();
        let mut owner = readers.admit(reader("owner", Some(2)), 5).unwrap();
        let error = readers.admit(reader("late", Some(1)), 5).unwrap_err();
        assert_eq!(error.condition, condition::STOLEN);
        assert!(owner.evicted.try_recv().is_err());
    }

    #[test]
    fn readers_without_owner_level_give_way_to_one_with_and_cannot_join_it() {
        let mut readers = Readers::default();
        let mut shared = readers
            .admit(
                Candidate {
                    name: None,
                    epoch: None,
                },
                5,
            )
            .unwrap();
        readers.admit(reader("owner", Some(0)), 5).unwrap();
        let text = shared.evicted.try_recv().unwrap().description.unwrap();
        assert!(
            text.as_str()
                .contains("current receiver 'nil' with epoch '-1'"),
            "{text}"
        );
        let error = readers.admit(reader("late", None), 5).unwrap_err();
        assert_eq!(error.condition, condition::STOLEN);
    }

    #[test]
    fn the_sixth_reader_without_owner_level_is_refused_until_one_leaves() {
        let mut readers = Readers::default();
        let admissions: Vec<_> = (0..5)
            .map(|_| readers.admit(reader("r", None), 5).unwrap())
            .collect();
        let error = readers.admit(reader("sixth", None), 5).unwrap_err();
        assert_eq!(error.condition, condition::RESOURCE_LIMIT_EXCEEDED);
        let text = error.description.unwrap();
        assert!(
            text.as_str()
                .contains("allowed receivers per partition in a consumer group which is 5"),
            "{text}"
        );
        readers.leave(admissions[2].id);
        assert!(readers.admit(reader("sixth", None), 5).is_ok());
    }

    #[test]
    fn an_evicted_reader_that_leaves_late_does_not_take_its_successor_along() {
        let mut readers = Readers::default();
        let old = readers.admit(reader("old", Some(0)), 5).unwrap();
        readers.admit(reader("new", Some(0)), 5).unwrap();
        readers.leave(old.id);
        assert!(readers.admit(reader("shared", None), 5).is_err());
    }
}
