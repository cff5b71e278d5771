//! When the broker is full.

/// What the messages in the broker take, in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    held: usize,
    limit: usize,
    full: bool,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: 0, limit, full: false }
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.held += bytes;
        self.full |= self.held > self.limit;
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.held -= bytes;
        self.full &= self.held > self.low_water();
    }

    pub(super) fn clear(&mut self) {
        (self.held, self.full) = (0, false);
    }

    /// Over the limit, and since then not back at the low-water mark: one ack at the limit must not flip the state.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    fn low_water(&self) -> usize {
        self.limit / 4 * 3
    }

    /// The state for people.
    pub(super) fn describe(&self) -> String {
        format!(
            "it holds {} bytes of messages, the limit is {}, and it takes more below {}",
            self.held,
            self.limit,
            self.low_water()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_full_it_stays_full_down_to_the_low_water_mark() {
        let mut memory = Memory::new(100);
        memory.take(100);
        assert!(!memory.is_full());
        memory.take(1);
        assert!(memory.is_full());
        memory.release(25);
        assert!(memory.is_full());
        memory.release(1);
        assert!(!memory.is_full());
        memory.take(25);
        assert!(!memory.is_full());
    }

    #[test]
    fn without_any_room_it_is_full_until_it_is_empty() {
        let mut memory = Memory::new(0);
        memory.take(2);
        memory.release(1);
        assert!(memory.is_full());
        memory.release(1);
        assert!(!memory.is_full());
    }
}
