//! The binding asserts what it believes; here such a panic ends, as an error of the caller's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

/// The binding to ONNX Runtime panicked. What was being built or run must not be used again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the binding to ONNX Runtime panicked: {message}; this is a defect, please report it")]
pub struct Panicked {
    message: String,
}

/// Calls `body`; a panic inside becomes an error, and what it left half done is the caller's to drop.
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Panicked { message: message.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::contain;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        assert_eq!(contain(|| 1), Ok(1));
        let still = contain(|| panic!("as it was")).map(|()| 0);
        assert_eq!(still.map_err(|e| e.message), Err("as it was".to_owned()));
        let formatted = contain(|| panic!("{} is wrong", 7)).map(|()| 0);
        assert_eq!(formatted.map_err(|e| e.message), Err("7 is wrong".to_owned()));
    }
}
