//! A slab whose keys carry a generation, so that a key to a freed slot cannot be mistaken for the slot's next tenant.

/// Names one entry of one [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

/// Entries at stable indexes; freed slots are reused, lowest cost first.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, entry: T) -> Key {
        self.insert_with(|_| entry)
    }

    /// Inserts an entry that knows its own key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                entry: None,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        let key = Key {
            index,
            generation: slot.generation,
        };
        slot.entry = Some(make(key));
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?
            .entry
            .as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?
            .entry
            .as_mut()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self
            .slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?;
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(entry)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| {
                let key = Key {
                    index: index as u32,
                    generation: slot.generation,
                };
                slot.entry.as_mut().map(|entry| (key, entry))
            })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key {
                index: index as u32,
                generation: slot.generation,
            };
            slot.entry.as_ref().map(|entry| (key, entry))
        })
    }

    /// The key of the live entry at `position`, for walks that must not hold a borrow.
    pub(crate) fn key_at(&self, position: usize) -> Option<Key> {
        let slot = self.slots.get(position)?;
        slot.entry.as_ref().map(|_| Key {
            index: position as u32,
            generation: slot.generation,
        })
    }

    /// One more than the highest position ever used: the end of a walk with [`key_at`](Self::key_at).
    pub(crate) fn positions(&self) -> usize {
        self.slots.len()
    }
}

/// A table from small wire numbers (channels, handles) to keys; the lowest free number is handed out first (S-005, L-006).
#[derive(Debug, Default)]
pub(crate) struct NumberTable(Vec<Option<Key>>);

impl NumberTable {
    pub(crate) fn get(&self, number: u32) -> Option<Key> {
        self.0.get(number as usize).copied().flatten()
    }

    /// Takes the lowest free number, if one is free at or below `highest`.
    pub(crate) fn allocate(&mut self, key: Key, highest: u32) -> Option<u32> {
        let number = self.free().next().filter(|number| *number <= highest)?;
        self.set(number, key);
        Some(number)
    }

    /// The free numbers from the lowest up, without an end.
    pub(crate) fn free(&self) -> impl Iterator<Item = u32> {
        (0..).filter(|number| self.get(*number).is_none())
    }

    /// Binds `number`; the caller has checked it against the limit that we announced.
    pub(crate) fn set(&mut self, number: u32, key: Key) {
        let number = number as usize;
        if number >= self.0.len() {
            self.0.resize(number + 1, None);
        }
        self.0[number] = Some(key);
    }

    pub(crate) fn clear(&mut self, number: u32) {
        if let Some(entry) = self.0.get_mut(number as usize) {
            *entry = None;
        }
        while self.0.last() == Some(&None) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_does_not_reach_the_next_tenant() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn s_005_the_lowest_free_number_is_used() {
        let mut slab = Slab::new();
        let key = slab.insert(());
        let mut table = NumberTable::default();
        assert_eq!(
            [
                table.allocate(key, 2),
                table.allocate(key, 2),
                table.allocate(key, 2)
            ],
            [Some(0), Some(1), Some(2)]
        );
        assert_eq!(table.allocate(key, 2), None);
        table.clear(1);
        assert_eq!(table.allocate(key, 2), Some(1));
    }
}
