//! The newest sample of each joined input, behind the engine's lock.
//!
//! A sample's memory is shared with whoever reads it and never written while it is: a new sample goes into a buffer that
//! nobody holds. A worker holds at most one of an input, and keeps it for ever if it hangs, so there is always a free one.
//! Nothing is allocated or freed: each buffer's own count stays here.

use std::{ops::Range, sync::Arc};

use engine::{ConnectionId, InputId, MAX_INPUTS};

/// What an inference gets of a connection's joined inputs, in the order of the model's.
pub(crate) type Joined = heapless::Vec<Arc<Vec<f32>>, MAX_INPUTS>;

/// All inputs' newest samples.
pub(crate) struct Samples {
    inputs: Vec<Kept>,
    /// For each connection, which inputs are its own.
    own: Vec<Range<usize>>,
}

struct Kept {
    buffers: Vec<Arc<Vec<f32>>>,
    newest: usize,
}

impl Samples {
    /// Room for the samples of these connections' inputs, given by their lengths, that so many workers may read.
    pub(crate) fn new(connections: impl Iterator<Item = Vec<usize>>, workers: usize) -> Self {
        let (mut inputs, mut own) = (Vec::new(), Vec::new());
        for lengths in connections {
            let first = inputs.len();
            inputs.extend(lengths.into_iter().map(|values| {
                // One for each worker, the newest, and the next.
                let buffers = (0..workers + 2).map(|_| Arc::new(vec![0.0; values])).collect();
                Kept { buffers, newest: 0 }
            }));
            own.push(first..inputs.len());
        }
        Self { inputs, own }
    }

    /// Keeps these values as an input's newest sample.
    pub(crate) fn store(&mut self, input: InputId, values: impl ExactSizeIterator<Item = f32>) {
        let Kept { buffers, newest } = &mut self.inputs[usize::from(input.0)];
        let mut others = buffers.iter_mut().enumerate().filter(|(place, _)| place != newest);
        let free = others.find_map(|(place, buffer)| Some((place, Arc::get_mut(buffer)?)));
        let (place, buffer) = free.expect("one more buffer than workers may hold");
        assert_eq!(buffer.len(), values.len(), "the engine keeps samples of the declared length only");
        for (value, stored) in values.zip(buffer.iter_mut()) {
            *stored = value;
        }
        *newest = place;
    }

    /// The newest samples of a connection's inputs.
    pub(crate) fn of(&self, connection: ConnectionId) -> Joined {
        let own = self.own[usize::from(connection.0)].clone();
        self.inputs[own].iter().map(|kept| Arc::clone(&kept.buffers[kept.newest])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Samples {
        Samples::new([vec![2, 1], vec![], vec![2]].into_iter(), 2)
    }

    fn values(joined: &Joined) -> Vec<Vec<f32>> {
        joined.iter().map(|sample| sample.to_vec()).collect()
    }

    #[test]
    fn each_connection_gets_its_own_newest_samples() {
        let mut samples = samples();
        samples.store(InputId(0), [1.0, 2.0].into_iter());
        samples.store(InputId(1), [3.0].into_iter());
        samples.store(InputId(2), [4.0, 5.0].into_iter());
        samples.store(InputId(0), [6.0, 7.0].into_iter());
        assert_eq!(values(&samples.of(ConnectionId(0))), [vec![6.0, 7.0], vec![3.0]]);
        assert!(samples.of(ConnectionId(1)).is_empty());
        assert_eq!(values(&samples.of(ConnectionId(2))), [vec![4.0, 5.0]]);
    }

    #[test]
    fn what_is_read_is_not_written_although_every_worker_hangs() {
        let mut samples = samples();
        let mut held = Vec::new();
        for number in [1.0, 2.0] {
            samples.store(InputId(0), [number; 2].into_iter());
            held.push(samples.of(ConnectionId(0)));
        }
        for number in 3..100_u8 {
            samples.store(InputId(0), [f32::from(number); 2].into_iter());
            assert_eq!(values(&samples.of(ConnectionId(0)))[0], [f32::from(number); 2]);
        }
        let seen: Vec<_> = held.iter().map(|joined| values(joined)[0].clone()).collect();
        assert_eq!(seen, [[1.0; 2], [2.0; 2]]);
    }

    #[test]
    fn memory_stays_where_it_is() {
        let mut samples = samples();
        let places = |samples: &Samples| samples.inputs[0].buffers.iter().map(|one| one.as_ptr()).collect::<Vec<_>>();
        let before = places(&samples);
        for _ in 0..10 {
            samples.store(InputId(0), [1.0; 2].into_iter());
            drop(samples.of(ConnectionId(0)));
        }
        assert_eq!(places(&samples), before);
    }
}
