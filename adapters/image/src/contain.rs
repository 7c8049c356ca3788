//! The decoders are other people's and read what the network sends: a panic ends here, as an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ImageError;

/// Calls `decode`. What a panic leaves half done are pixels, which the next picture overwrites.
pub(crate) fn contain<T>(decode: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(ImageError::Panicked))
}

#[cfg(test)]
mod tests {
    use super::contain;
    use crate::ImageError;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(contain(|| Ok(1)), Ok(1));
        assert_eq!(contain::<u8>(|| panic!("as decoders do")), Err(ImageError::Panicked));
    }
}
