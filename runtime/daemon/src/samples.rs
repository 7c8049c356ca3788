//! The newest sample of each joined input, behind the engine's lock.
//!
//! A sample's memory is shared with whoever reads it and never written while it is: a new sample goes into a buffer that
//! nobody holds. A worker holds at most one of an input, and keeps it for ever if it hangs, so there is always a free one.
//! Nothing is allocated or freed: each buffer's own count stays here.

use std::{mem, ops::Range, sync::Arc};

use engine::{ConnectionId, InputId, MAX_INPUTS};

/// A sample's values. Whoever holds one may read it.
pub(crate) type Tensor = Arc<Vec<f32>>;

/// What an inference gets of a connection's joined inputs, in the order of the model's.
pub(crate) type Joined = heapless::Vec<Tensor, MAX_INPUTS>;

/// All inputs' newest samples.
pub(crate) struct Samples {
    kept: Vec<Kept>,
    /// For each input, which of them: inputs that look alike at one camera have the same.
    of_input: Vec<usize>,
    /// For each connection, which inputs are its own.
    own: Vec<Range<usize>>,
}

struct Kept {
    buffers: Vec<Tensor>,
    newest: usize,
}

impl Samples {
    /// Room for the samples of these connections' inputs, given by their lengths, that so many workers may read. Those of
    /// each group in `alike` get the same samples.
    pub(crate) fn new(connections: impl Iterator<Item = Vec<usize>>, workers: usize, alike: &[Vec<InputId>]) -> Self {
        let (mut lengths, mut own) = (Vec::new(), Vec::new());
        for connection in connections {
            let first = lengths.len();
            lengths.extend(connection);
            own.push(first..lengths.len());
        }
        let (mut kept, mut of_input) = (Vec::new(), Vec::new());
        for (input, values) in lengths.into_iter().enumerate() {
            let group = alike.iter().find(|group| group.iter().any(|id| usize::from(id.0) == input));
            let first = group.and_then(|group| group.first()).map_or(input, |first| usize::from(first.0));
            if first < input {
                of_input.push(of_input[first]);
                continue;
            }
            of_input.push(kept.len());
            // One for each worker, the newest, and the next.
            let buffers = (0..workers + 2).map(|_| Arc::new(vec![0.0; values])).collect();
            kept.push(Kept { buffers, newest: 0 });
        }
        Self { kept, of_input, own }
    }

    /// Keeps these values as an input's newest sample.
    pub(crate) fn store(&mut self, input: InputId, values: impl ExactSizeIterator<Item = f32>) {
        let Kept { buffers, newest } = self.kept_of(input);
        let place = free(buffers, *newest);
        let buffer = Arc::get_mut(&mut buffers[place]).expect("it is free");
        assert_eq!(buffer.len(), values.len(), "the engine keeps samples of the declared length only");
        for (value, stored) in values.zip(buffer.iter_mut()) {
            *stored = value;
        }
        *newest = place;
    }

    /// Keeps this tensor as the newest sample of an input, and of those that look alike. Another one, which nobody holds,
    /// takes its place.
    pub(crate) fn adopt(&mut self, input: InputId, tensor: &mut Tensor) {
        let Kept { buffers, newest } = self.kept_of(input);
        let place = free(buffers, *newest);
        assert_eq!(buffers[place].len(), tensor.len(), "a camera's thread fills tensors of the declared length");
        mem::swap(&mut buffers[place], tensor);
        *newest = place;
    }

    /// The newest samples of a connection's inputs.
    pub(crate) fn of(&self, connection: ConnectionId) -> Joined {
        let own = self.own[usize::from(connection.0)].clone();
        let kept = self.of_input[own].iter().map(|kept| &self.kept[*kept]);
        kept.map(|kept| Arc::clone(&kept.buffers[kept.newest])).collect()
    }

    fn kept_of(&mut self, input: InputId) -> &mut Kept {
        &mut self.kept[self.of_input[usize::from(input.0)]]
    }
}

/// A buffer beside the newest that nobody reads.
fn free(buffers: &[Tensor], newest: usize) -> usize {
    let mut others = buffers.iter().enumerate().filter(|(place, _)| *place != newest);
    let free = others.find_map(|(place, buffer)| (Arc::strong_count(buffer) == 1).then_some(place));
    free.expect("one more buffer than workers may hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Samples {
        Samples::new([vec![2, 1], vec![], vec![2]].into_iter(), 2, &[])
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
        let places = |samples: &Samples| samples.kept[0].buffers.iter().map(|one| one.as_ptr()).collect::<Vec<_>>();
        let before = places(&samples);
        for _ in 0..10 {
            samples.store(InputId(0), [1.0; 2].into_iter());
            drop(samples.of(ConnectionId(0)));
        }
        assert_eq!(places(&samples), before);
    }

    #[test]
    fn who_looks_alike_at_a_camera_gets_the_same_tensor_and_another_one_comes_back() {
        let alike = [vec![InputId(0), InputId(2)]];
        let mut samples = Samples::new([vec![2, 1], vec![2]].into_iter(), 1, &alike);
        let mut tensor = Tensor::new(vec![7.0; 2]);
        let filled = tensor.as_ptr();
        samples.adopt(InputId(0), &mut tensor);
        assert_ne!(tensor.as_ptr(), filled, "it was exchanged");
        let (one, other) = (samples.of(ConnectionId(0)), samples.of(ConnectionId(1)));
        assert_eq!((one[0].as_ptr(), other[0].as_ptr()), (filled, filled), "nothing was copied");
        assert_eq!(values(&one)[1], [0.0]);
        // A worker that hangs keeps what it reads.
        for number in 0..10_u8 {
            Arc::get_mut(&mut tensor).expect("what comes back is nobody's").fill(f32::from(number));
            samples.adopt(InputId(0), &mut tensor);
        }
        assert_eq!(values(&samples.of(ConnectionId(1)))[0], [9.0; 2]);
        assert_eq!(values(&one)[0], [7.0; 2]);
    }
}
