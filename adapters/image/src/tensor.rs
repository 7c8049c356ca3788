//! The last pass: pixels to values, in the tensor's channels and order.

use crate::{Layout, Normalise};

/// Rows of pixels that are `step` samples apart, `channels` samples each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pixels<'a, T> {
    pub(crate) samples: &'a [T],
    pub(crate) step: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl<T: Copy> Pixels<'_, T> {
    /// Fills the tensor. `order` says for each of its channels which of a pixel's it is.
    pub(crate) fn write(self, out: &mut [f32], layout: Layout, order: &[usize], value: impl Fn(usize, T) -> f32) {
        let count = order.len();
        let used = self.width * self.channels;
        match layout {
            Layout::Nchw => {
                let plane = out.len() / count;
                for (channel, plane) in out.chunks_exact_mut(plane).enumerate() {
                    for (row, values) in self.samples.chunks(self.step).zip(plane.chunks_exact_mut(self.width)) {
                        for (pixel, out) in row[..used].chunks_exact(self.channels).zip(values) {
                            *out = value(channel, pixel[order[channel]]);
                        }
                    }
                }
            }
            Layout::Nhwc => {
                for (row, values) in self.samples.chunks(self.step).zip(out.chunks_exact_mut(self.width * count)) {
                    for (pixel, out) in row[..used].chunks_exact(self.channels).zip(values.chunks_exact_mut(count)) {
                        for (channel, out) in out.iter_mut().enumerate() {
                            *out = value(channel, pixel[order[channel]]);
                        }
                    }
                }
            }
        }
    }
}

/// A [`Normalise`] as one factor and one offset for each channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    factor: [f32; 3],
    offset: [f32; 3],
}

impl Affine {
    /// The number of channels was checked.
    pub(crate) fn new(normalise: &Normalise) -> Self {
        let mut affine = Self { factor: [0.0; 3], offset: [0.0; 3] };
        for (channel, (mean, std)) in normalise.mean.iter().zip(&normalise.std).enumerate() {
            affine.factor[channel] = normalise.scale / std;
            affine.offset[channel] = -mean / std;
        }
        affine
    }

    pub(crate) fn of(&self, channel: usize, value: f32) -> f32 {
        value * self.factor[channel] + self.offset[channel]
    }
}
